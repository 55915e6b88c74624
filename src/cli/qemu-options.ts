// QEMU's command line, as far as it describes a Xen guest with PV devices: qemu(1), and docs/system/i386/xen.rst of QEMU.
import type { DiskConfig } from '../node/open-devices.ts';
import type { VifConfig } from '../node/open-vif.ts';
import { closest } from '../util/closest.ts';
import { UsageError } from './usage-error.ts';

/** What was asked for. */
export interface QemuMachine {
  readonly kernel?: string;
  /** As -initrd has them: a file each, with its arguments. */
  readonly modules: readonly string[];
  readonly append: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly name?: string;
  readonly disks: readonly DiskConfig[];
  readonly vifs: readonly VifConfig[];
}

/** A drive or a network, to be named by a device. */
interface Backend {
  readonly properties: Properties;
  used: boolean;
}
type Properties = ReadonlyMap<string, string>;
type Handler = (value: string, build: Builder) => void;

interface Builder {
  kernel?: string;
  name?: string;
  modules: string[];
  append: string;
  memoryMiB: number;
  vcpus: number;
  readonly disks: { readonly config: Omit<DiskConfig, 'vdev'>; readonly vdev: string | undefined }[];
  readonly vifs: VifConfig[];
  readonly drives: Map<string, Backend>;
  readonly networks: Map<string, Backend>;
  /** Devices look drives and networks up when all of them are known. */
  readonly devices: Properties[];
}

const DEFAULT_MEMORY_MIB = 128;
/** How qemu calls what dom1 has under another name, or not at all. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  hda: 'write -drive file=…,if=xen',
  cdrom: 'write -drive file=…,if=xen,media=cdrom',
  daemonize: 'use dom1 create',
  qmp: 'use dom1 monitor',
  S: 'use dom1 create --paused',
  incoming: 'leave it out: there is no migration',
  bios: 'give a -kernel: there is no firmware',
  net: 'write -nic user,model=xen-net-device',
};

/** Nothing to do: an emulated Xen is what there is, and its console is on the terminal. */
const nothing: Handler = () => {};

/** By name; those that take no value are in SWITCHES. */
const OPTIONS: Readonly<Record<string, Handler>> = {
  kernel: (value, build) => void Object.assign(build, { kernel: value }),
  initrd: (value, build) => void Object.assign(build, { modules: splitCommas(value) }),
  append: (value, build) => void Object.assign(build, { append: value }),
  name: (value, build) => void Object.assign(build, { name: splitCommas(value)[0]?.replace(/^guest=/, '') }),
  m: (value, build) => void Object.assign(build, { memoryMiB: memoryOf(value) }),
  smp: (value, build) => void Object.assign(build, { vcpus: countOf(value) }),
  drive: (value, build) => addDrive(propertiesOf(value, 'file'), build),
  netdev: (value, build) => addNetwork(propertiesOf(value, 'type'), build),
  nic: (value, build) => addNic(propertiesOf(value, 'type'), build),
  device: (value, build) => void build.devices.push(propertiesOf(value, 'driver')),
  display: only('display', 'none'),
  vga: only('vga', 'none'),
  serial: only('serial', 'stdio', 'mon:stdio', 'none'),
  monitor: only('monitor', 'none'),
  parallel: only('parallel', 'none'),
  machine: nothing,
  M: nothing,
  accel: nothing,
  cpu: nothing,
  rtc: nothing,
};
const SWITCHES: ReadonlySet<string> = new Set([
  'nographic',
  'no-reboot',
  'nodefaults',
  'no-user-config',
  'enable-kvm',
  'no-hpet',
]);

/** @throws UsageError, for the first that is wrong or unknown */
export function parseQemuOptions(words: readonly string[]): QemuMachine {
  const build: Builder = {
    modules: [],
    append: '',
    memoryMiB: DEFAULT_MEMORY_MIB,
    vcpus: 1,
    disks: [],
    vifs: [],
    drives: new Map(),
    networks: new Map(),
    devices: [],
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const name = /^--?([A-Za-z].*)$/.exec(word)?.[1];
    if (name === undefined) throw new UsageError(`'${word}' is no option of qemu; write a disk as -drive file=${word},if=xen`);
    if (SWITCHES.has(name)) continue;
    const handler = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (handler === undefined) throw unknown(name);
    const value = words[++i];
    if (value === undefined) throw new UsageError(`-${name} needs a value; see qemu(1)`);
    handler(value, build);
  }
  for (const device of build.devices) addDevice(device, build);
  for (const [kind, backends] of [
    ['drive', build.drives],
    ['netdev', build.networks],
  ] as const)
    for (const [id, { used }] of backends)
      if (!used)
        throw new UsageError(
          `no device uses the ${kind} ${id}; add -device xen-${kind === 'drive' ? 'disk,drive' : 'net-device,netdev'}=${id}`,
        );
  const { kernel, name, modules, append, memoryMiB, vcpus, vifs } = build;
  return {
    ...(kernel !== undefined && { kernel }),
    ...(name !== undefined && { name }),
    modules,
    append,
    memoryMiB,
    vcpus,
    disks: nameDisks(build.disks),
    vifs,
  };
}

function unknown(name: string): UsageError {
  const elsewhere = Object.hasOwn(ELSEWHERE, name) ? ELSEWHERE[name] : undefined;
  const near = closest(name, [...Object.keys(OPTIONS), ...SWITCHES]);
  const hint = elsewhere ?? (near === undefined ? 'see `dom1 help qemu` for those there are' : `did you mean -${near}?`);
  return new UsageError(`dom1 has no option -${name} of qemu; ${hint}`);
}

function only(name: string, ...values: readonly string[]): Handler {
  return (value) => {
    if (!values.includes(value)) throw new UsageError(`-${name} ${value} is not supported; write -${name} ${values[0]}`);
  };
}

/** At commas; a comma that is doubled is one of the text. */
function splitCommas(text: string): string[] {
  return text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','));
}

/** key=value,…; the first may be a value alone, of `first`; a key alone is on. Of one that is there twice, the values are on lines. */
function propertiesOf(text: string, first: string): Properties {
  const found = new Map<string, string>();
  for (const [i, part] of splitCommas(text).entries()) {
    const equals = part.indexOf('=');
    const [key, value] = equals >= 0 ? [part.slice(0, equals), part.slice(equals + 1)] : i === 0 ? [first, part] : [part, 'on'];
    const before = found.get(key);
    found.set(key, before === undefined ? value : `${before}\n${value}`);
  }
  return found;
}

/** Refuses what is not known: it may be what somebody relies on. */
function expectKeys(what: string, properties: Properties, known: readonly string[]): void {
  for (const key of properties.keys()) {
    if (known.includes(key)) continue;
    const near = closest(key, known);
    throw new UsageError(
      `${what} has no ${key} here; ${near === undefined ? `it has ${known.join(', ')}` : `did you mean ${near}?`}`,
    );
  }
}

function memoryOf(text: string): number {
  const [, digits, unit = 'M'] = /^(?:size=)?(\d+)([MGmg])?$/.exec(splitCommas(text)[0] as string) ?? [];
  if (digits === undefined) throw new UsageError(`'${text}' is no size for -m; give MiB, or a number with M or G behind it`);
  return Number(digits) * (unit.toUpperCase() === 'G' ? 1024 : 1);
}

function countOf(text: string): number {
  const digits = /^(?:cpus=)?(\d{1,3})$/.exec(splitCommas(text)[0] as string)?.[1];
  if (digits === undefined || Number(digits) < 1) throw new UsageError(`'${text}' is no number of CPUs for -smp; write -smp 1`);
  return Number(digits);
}

const DRIVE_KEYS = ['file', 'if', 'format', 'id', 'index', 'media', 'readonly', 'snapshot', 'cache', 'aio', 'discard'];

function addDrive(properties: Properties, build: Builder): void {
  expectKeys('-drive', properties, DRIVE_KEYS);
  const kind = properties.get('if');
  if (kind === 'xen') return addDisk(properties, undefined, build);
  const id = properties.get('id');
  if (kind !== 'none') throw new UsageError(`-drive if=${kind ?? 'ide'} is an emulated disk, which there is not; write if=xen`);
  if (id === undefined) throw new UsageError('-drive if=none needs an id; write id=disk0, and -device xen-disk,drive=disk0');
  build.drives.set(id, { properties, used: false });
}

function addDisk(properties: Properties, vdev: string | undefined, build: Builder): void {
  const on = (key: string): boolean => ['on', 'true', 'yes'].includes(properties.get(key) ?? 'off');
  const [path, format] = [properties.get('file'), properties.get('format')];
  if (format !== undefined && format !== 'raw' && format !== 'qcow2')
    throw new UsageError(`-drive format=${format} cannot be opened; convert it to raw or qcow2`);
  const cdrom = properties.get('media') === 'cdrom';
  if (path === undefined && !cdrom) throw new UsageError('a -drive has no file; add file=…');
  build.disks.push({
    config: {
      ...(path !== undefined && { path }),
      ...(format !== undefined && { format }),
      readOnly: on('readonly') || cdrom,
      cdrom,
      snapshot: on('snapshot'),
    },
    vdev,
  });
}

function addNetwork(properties: Properties, build: Builder): void {
  const id = properties.get('id');
  if (id === undefined) throw new UsageError('-netdev needs an id; write -netdev user,id=net0');
  expectUser('-netdev', properties, ['id']);
  build.networks.set(id, { properties, used: false });
}

function expectUser(option: string, properties: Properties, more: readonly string[]): void {
  if (properties.get('type') !== 'user')
    throw new UsageError(
      `${option} ${properties.get('type')} is not supported; write ${option} user, or use dom1 create and a vif with link=`,
    );
  expectKeys(`${option} user`, properties, ['type', 'hostfwd', 'hostname', ...more]);
}

function addNic(properties: Properties, build: Builder): void {
  if (properties.get('type') === 'none') return;
  expectUser('-nic', properties, ['model', 'mac']);
  const model = properties.get('model');
  if (model !== 'xen-net-device')
    throw new UsageError(`-nic model=${model ?? 'e1000'} is emulated hardware; write model=xen-net-device`);
  addVif(properties, properties.get('mac'), build);
}

function addVif(network: Properties, mac: string | undefined, build: Builder): void {
  const hostname = network.get('hostname');
  build.vifs.push({
    forwards: network.get('hostfwd')?.split('\n') ?? [],
    ...(hostname !== undefined && { hostname }),
    ...(mac !== undefined && { mac }),
  });
}

function addDevice(properties: Properties, build: Builder): void {
  const driver = properties.get('driver');
  const backend = (backends: Map<string, Backend>, key: string): Properties => {
    const id = properties.get(key);
    const found = id === undefined ? undefined : backends.get(id);
    if (found === undefined)
      throw new UsageError(
        `-device ${driver} names no ${key}; add -${key} …,id=${id ?? `${key}0`}, and ${key}=${id ?? `${key}0`}`,
      );
    found.used = true;
    return found.properties;
  };
  switch (driver) {
    case 'xen-disk':
    case 'xen-cdrom':
      expectKeys(`-device ${driver}`, properties, ['driver', 'drive', 'vdev', 'id']);
      return addDisk(backend(build.drives, 'drive'), properties.get('vdev'), build);
    case 'xen-net-device':
      expectKeys('-device xen-net-device', properties, ['driver', 'netdev', 'mac', 'id']);
      return addVif(backend(build.networks, 'netdev'), properties.get('mac'), build);
    case 'xen-console':
      return;
    default:
      throw new UsageError(`there is no device ${driver}; use xen-disk, xen-net-device or xen-console`);
  }
}

/** Those without a name get the lowest that is free, as QEMU names them. */
function nameDisks(disks: Builder['disks']): DiskConfig[] {
  const taken = new Set(disks.map(({ vdev }) => vdev));
  const free = (): string => {
    for (let letter = 0; ; letter++) {
      const vdev = `xvd${String.fromCharCode(0x61 + letter)}`;
      if (taken.has(vdev)) continue;
      taken.add(vdev);
      return vdev;
    }
  };
  if (disks.length > MAX_DISKS) throw new UsageError(`${disks.length} drives are too many here; give at most ${MAX_DISKS}`);
  return disks.map(({ config, vdev }) => ({ ...config, vdev: vdev ?? free() }));
}
/** Letters that there are. */
const MAX_DISKS = 26;
