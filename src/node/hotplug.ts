// PV devices that come and go while a domain runs: what is behind them is opened here, and the domain's specification follows,
// so that a guest that is restarted has them again (libxl keeps a domain's configuration up to date in the same way).
import { randomBytes, randomUUID } from 'node:crypto';
import { isAbsolute, resolve } from 'node:path';
import { DiskDevice } from '../backends/block/disk-device.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import type { AttachRequest, DetachRequest, DevicePort } from '../control/device-port.ts';
import type { DiskSpec } from '../control/xl-config/disk-spec.ts';
import type { DomainSpec } from '../control/xl-config/domain-spec.ts';
import type { VifSpec } from '../control/xl-config/vif-spec.ts';
import { BlockStoreError } from '../io/block-store-error.ts';
import type { DomainDevices } from '../machine/domain-devices.ts';
import { openDiskDevice, openMedium, openVifDevice } from './open-devices.ts';
import { isHttp } from './open-disk.ts';
import { absoluteVif, diskConfig, vifConfig } from './spec-config.ts';

type Devices = Pick<DomainDevices, 'attach' | 'detach' | 'get'>;
type DeviceSpecs = Pick<DomainSpec, 'disks' | 'vifs'>;

/**
 * A specification whose guest is the same after a restart: what is left to chance is decided once. Addresses of network cards
 * are of the Xen project's range; libxl leaves the fourth byte's highest bit clear. In virtual time nothing is left to chance.
 */
export function settleSpec(spec: DomainSpec): DomainSpec {
  if (spec.clock?.kind === 'virtual') return spec;
  return { ...spec, uuid: spec.uuid ?? randomUUID(), vifs: spec.vifs.map(withMac) };
}

/** A restart begins with the target of the balloon (libxl_retrieve_domain_configuration): KiB, as the store has it. */
export function withMemoryTarget(spec: DomainSpec, targetKib: string | undefined): DomainSpec {
  const targetMiB = targetKib !== undefined && /^\d+$/.test(targetKib) ? Math.floor(Number(targetKib) / 1024) : 0;
  return targetMiB === 0 ? spec : { ...spec, memoryMiB: Math.min(targetMiB, spec.maxmemMiB) };
}

const withMac = (vif: VifSpec): VifSpec => {
  if (vif.mac !== undefined) return vif;
  const [a = 0, b = 0, c = 0] = randomBytes(3);
  return { ...vif, mac: [0x00, 0x16, 0x3e, a & 0x7f, b, c].map((byte) => byte.toString(16).padStart(2, '0')).join(':') };
};

export class Hotplug<S extends DeviceSpecs = DeviceSpecs> implements DevicePort {
  /** The devices of the domain as it is now. */
  readonly #devices: () => Devices;
  readonly #directory: string | undefined;
  #spec: S;

  /**
   * @param devices asked for each time: a restart makes others
   * @param directory where the members of a switch find each other. Default: the user's
   */
  constructor(spec: S, devices: () => Devices, directory?: string) {
    this.#spec = spec;
    this.#devices = devices;
    this.#directory = directory;
  }

  /** What the domain is made of now. */
  get spec(): S {
    return this.#spec;
  }

  async attachDisk(disk: DiskSpec, request: AttachRequest): Promise<void> {
    const spec = withAbsoluteTarget(disk, request.directory);
    await this.#attach(await openDiskDevice(diskConfig(spec)), request);
    const others = this.#spec.disks.filter(({ vdevNumber }) => vdevNumber !== spec.vdevNumber);
    this.#spec = { ...this.#spec, disks: [...others, spec] };
  }

  async attachVif(vif: VifSpec, request: AttachRequest): Promise<void> {
    const spec = withMac(absoluteVif(vif, (path) => absolute(path, request.directory)));
    await this.#attach(await openVifDevice(vifConfig(spec, this.#directory)), request);
    this.#spec = { ...this.#spec, vifs: [...this.#spec.vifs.filter(({ devid }) => devid !== spec.devid), spec] };
  }

  async detach(type: 'vbd' | 'vif', id: number, request: DetachRequest): Promise<boolean> {
    if (!(await this.#devices().detach(type, id, request))) return false;
    const { disks, vifs } = this.#spec;
    this.#spec = {
      ...this.#spec,
      disks: type === 'vbd' ? disks.filter(({ vdevNumber }) => vdevNumber !== id) : disks,
      vifs: type === 'vif' ? vifs.filter(({ devid }) => devid !== id) : vifs,
    };
    return true;
  }

  async changeMedium(drive: DiskSpec, { directory }: Pick<AttachRequest, 'directory'>): Promise<void> {
    const spec = withAbsoluteTarget(drive, directory);
    const device = this.#devices().get('vbd', spec.vdevNumber);
    if (!(device instanceof DiskDevice)) throw new RangeError(`${spec.vdev} is no disk of this domain`);
    const { target } = spec;
    if (!device.cdrom) throw new RangeError(`${spec.vdev} is no CD drive`);
    const medium = target === undefined ? undefined : await openMedium({ ...diskConfig(spec), path: target });
    await device.changeMedium(medium).catch(async (error: unknown) => {
      await medium?.close?.();
      throw error;
    });
    const before = this.#spec.disks;
    this.#spec = {
      ...this.#spec,
      disks: before.map((disk) => (disk.vdevNumber === spec.vdevNumber ? { ...spec, position: disk.position } : disk)),
    };
  }

  async #attach(device: PvDevice, { timeout }: AttachRequest): Promise<void> {
    try {
      await this.#devices().attach(device, timeout === undefined ? { wait: false } : { timeout });
    } catch (error) {
      // A domain that ended meanwhile has closed it, and a guest that never had it wrote nothing.
      await device.close().catch(() => {});
      throw error;
    }
  }
}

const withAbsoluteTarget = (disk: DiskSpec, directory: string | undefined): DiskSpec =>
  disk.target === undefined ? disk : { ...disk, target: absolute(disk.target, directory) };

/** This process has another working directory than whoever asked. @throws BlockStoreError */
function absolute(path: string, directory: string | undefined): string {
  if (isHttp(path) || isAbsolute(path)) return path;
  if (directory === undefined || !isAbsolute(directory))
    throw new BlockStoreError('unsupported', `${path} is a relative path`, 'give the whole path');
  return resolve(directory, path);
}
