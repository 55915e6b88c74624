// Runs one guest in v86 (npm's package `v86`): node v86-machine.js <kernel> <initrd> <MiB> <command line> <seabios directory> <module>.
// The guest's first serial port goes to standard output. It runs until it is killed: v86 does not say that a guest is off.
import { readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** What is used of v86's interface: https://github.com/copy/v86, v86.d.ts. */
interface V86Module {
  readonly V86: new (
    options: Readonly<Record<string, unknown>>,
  ) => {
    add_listener(event: 'serial0-output-byte', listener: (byte: number) => void): void;
  };
}

const [kernel = '', initrd = '', mib = '', commandLine = '', seabios = '', name = ''] = process.argv.slice(2);
const module = name.startsWith('/') ? pathToFileURL(name).href : import.meta.resolve(name);
const { V86 } = (await import(module)) as V86Module;

const image = (path: string): { buffer: ArrayBuffer } => ({ buffer: new Uint8Array(readFileSync(path)).buffer });
const machine = new V86({
  wasm_path: fileURLToPath(new URL('v86.wasm', module)),
  memory_size: Number(mib) * 2 ** 20,
  vga_memory_size: 8 * 2 ** 20,
  bios: image(`${seabios}/bios.bin`),
  vga_bios: image(`${seabios}/vgabios-stdvga.bin`),
  bzimage: image(kernel),
  initrd: image(initrd),
  cmdline: commandLine,
  disable_speaker: true,
  autostart: true,
});
let line = '';
machine.add_listener('serial0-output-byte', (byte) => {
  line += String.fromCharCode(byte);
  if (byte !== 10) return;
  process.stdout.write(line);
  line = '';
});
