// QEMU's firmware configuration device, by its ports: how a BIOS is given files. docs/specs/fw_cfg of QEMU describes the interface.
// Without its DMA part, and what the guest writes is dropped.
import type { IoHandler, IoRange } from '../io-bus.ts';

export const FW_CFG_PORTS: IoRange = { at: 0x510, size: 2 };

const KEY = { signature: 0, id: 1, directory: 0x19, firstFile: 0x20 } as const;
/** The traditional interface, no DMA. */
const ID_TRADITIONAL = 1;
const NAME_BYTES = 56;
const ENTRY_BYTES = 64;

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

export class FwCfg implements IoHandler {
  readonly #items: ReadonlyMap<number, Uint8Array>;
  #selected: Uint8Array | undefined;
  #next = 0;

  /** `files`: their contents by name, as `genroms/kernel.bin`; a name has 55 bytes at most. */
  constructor(files: ReadonlyMap<string, Uint8Array>) {
    const items = new Map<number, Uint8Array>();
    const directory = new Uint8Array(4 + files.size * ENTRY_BYTES);
    const view = new DataView(directory.buffer);
    view.setUint32(0, files.size);
    let key: number = KEY.firstFile;
    // In order of name, as QEMU has them.
    for (const [name, data] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const at = 4 + (key - KEY.firstFile) * ENTRY_BYTES;
      view.setUint32(at, data.length);
      view.setUint16(at + 4, key);
      directory.set(ascii(name).subarray(0, NAME_BYTES - 1), at + 8);
      items.set(key++, data);
    }
    items.set(KEY.signature, ascii('QEMU'));
    items.set(KEY.id, Uint8Array.of(ID_TRADITIONAL, 0, 0, 0));
    items.set(KEY.directory, directory);
    this.#items = items;
  }

  reset(): void {
    this.#selected = undefined;
    this.#next = 0;
  }

  /** The data port gives a byte at a time, 0 behind the end. The selector is write-only. */
  read(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) {
      const byte = offset + i === 1 ? (this.#selected?.[this.#next++] ?? 0) : 0;
      value += byte * 2 ** (i * 8);
    }
    return value;
  }

  write(offset: number, size: number, value: number): void {
    if (offset !== 0 || size !== 2) return;
    this.#selected = this.#items.get(value);
    this.#next = 0;
  }
}
