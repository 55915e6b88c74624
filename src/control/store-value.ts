// XenStore values in JSON: they are bytes, and nearly always text.
import { ControlError } from './control-error.ts';

/** `value` if the bytes are UTF-8, else `hex`: two digits a byte. */
export type StoreValueJson = { readonly value: string } | { readonly hex: string };

export function storeValueJson(bytes: Uint8Array): StoreValueJson {
  try {
    return { value: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { hex: Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('') };
  }
}

/** @throws ControlError unless there is exactly one of the two, and it is well-formed */
export function storeValueBytes(json: { readonly value?: string; readonly hex?: string }): Uint8Array {
  const { value, hex } = json;
  if ((value === undefined) === (hex === undefined))
    throw new ControlError('InvalidArgument', 'a XenStore value is given as value (text) or as hex; give one of them');
  if (value !== undefined) return new TextEncoder().encode(value);
  const digits = hex as string;
  if (!/^([0-9a-fA-F]{2})*$/.test(digits))
    throw new ControlError('InvalidArgument', 'hex must be two hexadecimal digits for each byte');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
