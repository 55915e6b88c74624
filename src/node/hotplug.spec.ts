import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PvDevice } from '../backends/pv-device.ts';
import { diskOfWords, vifOfWords } from '../control/device-words.ts';
import type { DomainSpec } from '../control/xl-config/domain-spec.ts';
import { readDomainSpec } from '../control/xl-config/read-domain-spec.ts';
import { Hotplug, settleSpec, withMemoryTarget } from './hotplug.ts';

/** Takes every device, or none. */
class Devices {
  readonly given = new Map<string, PvDevice>();
  refusal: Error | undefined;
  letsGo = true;

  async attach(device: PvDevice): Promise<void> {
    if (this.refusal !== undefined) throw this.refusal;
    this.given.set(device.type, device);
  }
  async detach(type: string): Promise<boolean> {
    if (!this.letsGo) return false;
    await this.given.get(type)?.close();
    this.given.delete(type);
    return true;
  }
  get(type: string): PvDevice | undefined {
    return this.given.get(type);
  }
}

let directory: string;
let devices: Devices;
let hotplug: Hotplug<DomainSpec>;
const lock = (): boolean => existsSync(join(directory, 'a.img.dom1-lock'));
const domainSpec = (text: string): DomainSpec => readDomainSpec(`name = "a"\n${text}`, 'a.cfg').spec;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-hotplug-'));
  writeFileSync(join(directory, 'a.img'), new Uint8Array(4096));
  devices = new Devices();
  hotplug = new Hotplug(settleSpec(domainSpec('')), () => devices);
});
afterEach(async () => {
  for (const device of devices.given.values()) await device.close();
  rmSync(directory, { recursive: true });
});

it('opens a disk relative to where it was asked for, and remembers it until it goes', async () => {
  await hotplug.attachDisk(diskOfWords(['a.img,,xvdb']), { directory });
  expect(hotplug.spec.disks).toMatchObject([{ vdev: 'xvdb', target: join(directory, 'a.img') }]);
  expect(lock()).toBe(true);
  devices.letsGo = false;
  expect(await hotplug.detach('vbd', 51728, { timeout: 1, force: false })).toBe(false);
  expect(hotplug.spec.disks).toHaveLength(1);
  devices.letsGo = true;
  expect(await hotplug.detach('vbd', 51728, { timeout: 1, force: false })).toBe(true);
  expect(hotplug.spec.disks).toEqual([]);
  expect(lock()).toBe(false);
});

it('leaves nothing of a disk that the domain does not take', async () => {
  devices.refusal = new Error('the guest did not take it');
  await expect(hotplug.attachDisk(diskOfWords(['a.img,,xvdb']), { directory, timeout: 1 })).rejects.toThrow('did not take it');
  expect(hotplug.spec.disks).toEqual([]);
  expect(lock()).toBe(false);
});

it.each([
  ['none.img,,xvdb', /none\.img.*; /],
  ['a.img,vhd,xvdb', /^command line:1:\d+: a disk in the format vhd cannot be opened; convert it/],
])('says why %s cannot be opened', async (words, message) => {
  await expect(hotplug.attachDisk(diskOfWords([words]), { directory })).rejects.toThrow(message);
});

it('takes no relative path from somewhere unknown', async () => {
  await expect(hotplug.attachDisk(diskOfWords(['a.img,,xvdb']), {})).rejects.toThrow('a.img is a relative path; give the whole');
  await expect(hotplug.attachDisk(diskOfWords(['a.img,,xvdb']), { directory: '.' })).rejects.toThrow('relative path');
});

it('changes discs', async () => {
  await hotplug.attachDisk(diskOfWords([',,hdc:cdrom,r']), {});
  const drive = devices.given.get('vbd');
  await hotplug.changeMedium(diskOfWords(['vdev=hdc,devtype=cdrom', 'target=a.img']), { directory });
  expect(hotplug.spec.disks).toMatchObject([{ vdev: 'hdc', format: 'raw', target: join(directory, 'a.img') }]);
  await hotplug.changeMedium(diskOfWords(['vdev=hdc,devtype=cdrom,target=']), {});
  expect(hotplug.spec.disks).toMatchObject([{ vdev: 'hdc', format: 'empty' }]);
  expect(hotplug.spec.disks[0]?.target).toBeUndefined();
  expect(devices.given.get('vbd')).toBe(drive);
});

it('gives a network card an address, which it keeps', async () => {
  await hotplug.attachVif(vifOfWords([], 3), {});
  const [vif] = hotplug.spec.vifs;
  expect(vif).toMatchObject({ devid: 3, mac: expect.stringMatching(/^00:16:3e:[0-7]/) });
  expect((devices.given.get('vif') as { mac?: string }).mac).toBe(vif?.mac);
});

it('begins a restart with the memory that the balloon was to have', () => {
  const spec = domainSpec('memory = 256\nmaxmem = 512');
  const after = (target: string | undefined): number => withMemoryTarget(spec, target).memoryMiB;
  expect([after('131072'), after('524288'), after('131073')]).toEqual([128, 512, 128]);
  // What a guest or a person has written there that is none.
  expect([after(undefined), after('much'), after('0'), after('9999999')]).toEqual([256, 256, 256, 512]);
});

it('decides once what a specification leaves to chance', () => {
  const spec = settleSpec(domainSpec("vif = [ '', 'mac=00:16:3e:00:00:01' ]"));
  expect(spec.uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(spec.vifs.map(({ mac }) => mac)).toEqual([expect.stringMatching(/^00:16:3e:/), '00:16:3e:00:00:01']);
  expect(settleSpec(spec)).toEqual(spec);
});
