// The ways in which a guest's shell is reached that are measured: who runs the guest, as what, and from where it gets its kernel.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBzImage, unpackPayload } from '../src/image/bzimage.ts';
import { GrubMedia } from '../test/guest/grub-media.ts';
import { type GuestImage, shellImage } from './guest-image.ts';
import { type Engine, type MachineDisk, type MachineOptions, QUIET } from './machine.ts';

export interface BootWay {
  readonly engine: Engine;
  /** As the table has it. */
  readonly name: string;
  readonly machine: Pick<MachineOptions, 'image' | 'type' | 'bootDisk'>;
}

export const BOOT_ROWS = ['pvh', 'pv', 'hvm-kernel', 'hvm-disk', 'pvh-grub', 'pv-grub'] as const;
export type BootRow = (typeof BOOT_ROWS)[number];

const DISK_MIB = 64;

export interface BootImages extends Disposable {
  readonly image: GuestImage;
  readonly ways: readonly BootWay[];
}

/** What the rows boot, made where they want it. QEMU's TCG cannot run the PV shim: its Xen is KVM's. */
export async function bootWays(rows: readonly BootRow[]): Promise<BootImages> {
  const image = await shellImage();
  const directory = mkdtempSync(join(tmpdir(), 'dom1-bench-boot-'));
  const ways: BootWay[] = [];
  let media: GrubMedia | undefined;
  const bzImage = readFileSync(image.kernel);
  const { vmlinux } = await unpackPayload(readBzImage(bzImage).payload);
  const diskFor = async (name: string, console: string, kernel: Uint8Array): Promise<MachineDisk> => {
    media ??= await GrubMedia.prepare(directory);
    const files = new Map<string, string | Uint8Array>([
      ['boot/grub/grub.cfg', grubConfig(console)],
      ['boot/vmlinuz', kernel],
      ['boot/initrd', readFileSync(image.initrd)],
    ]);
    // Each disk is made at the same path.
    const path = join(directory, `${name}.img`);
    writeFileSync(path, readFileSync(await media.disk(files, DISK_MIB)));
    return { path, format: 'raw' };
  };
  const make: Readonly<Record<BootRow, () => Promise<readonly BootWay[]>>> = {
    pvh: async () => {
      const kernel = join(directory, 'vmlinux');
      writeFileSync(kernel, vmlinux);
      return [
        { engine: 'dom1', name: 'PVH kernel: dom1', machine: { image } },
        { engine: 'qemu-tcg', name: 'PVH kernel: QEMU TCG', machine: { image: { ...image, kernel } } },
      ];
    },
    pv: async () => [{ engine: 'dom1', name: 'PV kernel through the shim: dom1', machine: { image, type: 'pv' } }],
    'hvm-kernel': async () => [
      { engine: 'dom1', name: 'BIOS, bzImage given: dom1', machine: { image, type: 'hvm' } },
      { engine: 'qemu-tcg', name: 'BIOS, bzImage given: QEMU TCG', machine: { image } },
    ],
    'hvm-disk': async () => {
      const machine = { image, type: 'hvm', bootDisk: await diskFor('hvm', 'ttyS0', bzImage) } as const;
      return [
        { engine: 'dom1', name: 'BIOS, GRUB from disk: dom1', machine },
        { engine: 'qemu-tcg', name: 'BIOS, GRUB from disk: QEMU TCG', machine },
      ];
    },
    'pvh-grub': async () => [
      { engine: 'dom1', name: 'PVH GRUB from disk: dom1', machine: { image, bootDisk: await diskFor('pvh', 'hvc0', bzImage) } },
    ],
    // GRUB as a PV guest cannot unpack a Debian bzImage's payload: docs/design/0008, "GRUB".
    'pv-grub': async () => [
      {
        engine: 'dom1',
        name: 'PV GRUB from disk, through the shim: dom1',
        machine: { image, type: 'pv', bootDisk: await diskFor('pv', 'hvc0', vmlinux) },
      },
    ],
  };
  const dispose = (): void => {
    image[Symbol.dispose]();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    for (const row of rows) ways.push(...(await make[row]()));
  } catch (error) {
    dispose();
    throw error;
  }
  return { image, ways, [Symbol.dispose]: dispose };
}

const grubConfig = (console: string): string => `set timeout=0
menuentry "the guest" {
  linux /boot/vmlinuz console=${console} ${QUIET}
  initrd /boot/initrd
}
`;
