// Ethernet addresses: 6 bytes, and text as "00:16:3e:12:34:56".

export type MacAddress = Uint8Array;

export const BROADCAST_MAC: MacAddress = new Uint8Array(6).fill(0xff);

/** Undefined for anything but six colon-separated bytes. */
export function parseMac(text: string): MacAddress | undefined {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

export const formatMac = (mac: MacAddress): string => Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');

/** The address in `bytes` at `at` as one number, for maps: 48 bits fit. */
export function macKey(bytes: Uint8Array, at: number): number {
  let key = 0;
  for (let i = 0; i < 6; i++) key = key * 256 + (bytes[at + i] as number);
  return key;
}

/** Broadcast or multicast: the lowest bit of the first byte. */
export const isGroupMac = (bytes: Uint8Array, at: number): boolean => ((bytes[at] as number) & 1) !== 0;
