// The nodes that a toolstack makes for a domain, as libxl of Xen 4.20 makes them: tools/libs/light/libxl_create.c
// (libxl__domain_make), libxl_dom.c (libxl__build_post), libxl_console.c and libxl_device.c for the primary console.
import { domainPath } from './path.ts';
import type { XenStore } from './store.ts';
import { StoreClient } from './store-client.ts';
import type { StoreValue, StoreView } from './store-view.ts';

export interface IntroducedRing {
  /** The guest's event channel. */
  readonly port: number;
  readonly gfn: number;
}

export interface IntroduceDomainOptions {
  readonly domid: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  readonly name: string;
  /** Default pvh. */
  readonly type?: 'pvh' | 'hvm';
  /** KiB. */
  readonly staticMaxKiB: number;
  readonly targetKiB: number;
  readonly videoKiB?: number;
  /** Online at the start, of `maxVcpus` (default: the same number). */
  readonly vcpus: number;
  readonly maxVcpus?: number;
  readonly store: IntroducedRing;
  /** The primary console; none when left out. `tty`: what a user may connect to. */
  readonly console?: IntroducedRing & { readonly tty?: string };
  /** Seconds since 1970, with a fraction. Default: now. */
  readonly startTime?: number;
  /** Further nodes: paths below the domain's directory. */
  readonly extra?: { readonly [path: string]: StoreValue };
}

/** Bytes that xenconsoled keeps; LIBXL_XENCONSOLE_LIMIT. */
const CONSOLE_LIMIT = 1048576;

export const vmPath = (uuid: Uint8Array): string => `/vm/${formatUuid(uuid)}`;
export const libxlPath = (domid: number): string => `/libxl/${domid}`;

export function formatUuid(uuid: Uint8Array): string {
  const hex = Array.from(uuid, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/** Makes a new domain's nodes, replacing what an earlier domain of that number left, and announces it. */
export function introduceDomain(store: XenStore, options: IntroduceDomainOptions): void {
  const { domid } = options;
  if (options.uuid.length !== 16) throw new RangeError(`a UUID has 16 bytes, not ${options.uuid.length}`);
  store.addDomain(domid);
  const client = new StoreClient(store);
  client.transaction((view) => {
    if (!view.exists(domainPath(0))) makeDomain0(view);
    makeDomain(view, options);
    describeDomain(view, options);
    if (options.console !== undefined) makeConsole(view, domid, options.console);
    for (const [path, value] of Object.entries(options.extra ?? {})) view.write(`${domainPath(domid)}/${path}`, value);
  });
  store.introduce(domid);
}

/** Removes a domain's nodes, its backends' too, and announces that it is gone. */
export function releaseDomain(store: XenStore, domid: number): void {
  const client = new StoreClient(store);
  client.transaction((view) => {
    const vm = view.read(`${domainPath(domid)}/vm`);
    const backends = `${domainPath(0)}/backend`;
    for (const kind of view.list(backends) ?? []) {
      view.remove(`${backends}/${kind}/${domid}`);
      if (view.list(`${backends}/${kind}`)?.length === 0) view.remove(`${backends}/${kind}`);
    }
    if (vm?.startsWith('/vm/')) view.remove(vm);
    view.remove(libxlPath(domid));
    view.remove(domainPath(domid));
  });
  store.release(domid);
}

export type ShutdownRequest = 'poweroff' | 'reboot' | 'suspend' | 'halt' | 's3' | 'crash';

/** Asks the guest to do something about its own end: it answers by emptying the node. */
export function requestShutdown(store: XenStore, domid: number, request: ShutdownRequest): void {
  const client = new StoreClient(store);
  client.write(`${domainPath(domid)}/control/shutdown`, request);
}

/** What xen-init-dom0 writes. */
function makeDomain0(view: StoreView): void {
  view.write(`${domainPath(0)}/domid`, 0);
  view.write(`${domainPath(0)}/name`, 'Domain-0');
}

/** libxl__domain_make */
function makeDomain(view: StoreView, options: IntroduceDomainOptions): void {
  const { domid, uuid, name, type = 'pvh' } = options;
  const [dom, vm, libxl] = [domainPath(domid), vmPath(uuid), libxlPath(domid)];
  const hvm = type === 'hvm';
  const readable = `n0,r${domid}`;
  const guests = `n${domid}`;
  for (const [path, permissions] of [
    [dom, readable],
    [vm, readable],
    [libxl, 'n0'],
  ] as const) {
    view.remove(path);
    node(view, path, permissions);
  }
  node(view, `${libxl}/device`, 'n0');
  view.write(`${dom}/vm`, vm);
  view.write(`${dom}/name`, name);
  for (const path of ['cpu', 'memory', 'device']) node(view, `${dom}/${path}`, readable);
  node(view, `${dom}/device/suspend/event-channel`, guests);
  node(view, `${dom}/control`, readable);
  if (hvm) node(view, `${dom}/hvmloader`, readable);
  const features = ['feature-poweroff', 'feature-reboot', 'feature-suspend', ...(hvm ? ['feature-s3', 'feature-s4'] : [])];
  for (const path of ['shutdown', ...features, 'sysrq']) node(view, `${dom}/control/${path}`, guests);
  for (const path of ['data', 'drivers', 'feature', 'attr', 'error']) node(view, `${dom}/${path}`, guests);
  view.write(`${vm}/uuid`, formatUuid(uuid));
  view.write(`${vm}/name`, name);
  view.write(`${dom}/control/platform-feature-multiprocessor-suspend`, 1);
  view.write(`${dom}/control/platform-feature-xs_reset_watches`, 1);
  view.write(`${libxl}/type`, type);
  view.write(`${libxl}/dm-version`, 'qemu_xen');
}

/** libxl__build_post: what the built domain has. */
function describeDomain(view: StoreView, options: IntroduceDomainOptions): void {
  const { domid, uuid, vcpus, maxVcpus = vcpus, videoKiB = 0 } = options;
  const dom = domainPath(domid);
  view.write(`${dom}/memory/static-max`, options.staticMaxKiB);
  view.write(`${dom}/memory/target`, options.targetKiB - videoKiB);
  view.write(`${dom}/memory/videoram`, videoKiB);
  view.write(`${dom}/domid`, domid);
  view.write(`${dom}/store/port`, options.store.port);
  view.write(`${dom}/store/ring-ref`, options.store.gfn);
  for (let id = 0; id < maxVcpus; id++) view.write(`${dom}/cpu/${id}/availability`, id < vcpus ? 'online' : 'offline');
  if (options.type === 'hvm')
    for (const [path, value] of [
      ['acpi', 1],
      // There is no suspend to RAM.
      ['acpi_s3', 0],
      ['acpi_s4', 1],
      ['acpi_laptop_slate', 0],
    ] as const)
      view.write(`${dom}/platform/${path}`, value);
  view.write(`${vmPath(uuid)}/start_time`, (options.startTime ?? Date.now() / 1000).toFixed(2));
}

/** libxl__device_console_add for console 0, whose directory is the toolstack's: the guest may only read it. */
function makeConsole(view: StoreView, domid: number, console: IntroducedRing & { readonly tty?: string }): void {
  const front = `${domainPath(domid)}/console`;
  const back = `${domainPath(0)}/backend/console/${domid}/0`;
  const libxl = `${libxlPath(domid)}/device/console/0`;
  const readable = `n0,r${domid}`;
  const backend = { 'frontend-id': domid, online: 1, state: 1, protocol: 'vt100' };
  view.remove(libxl);
  node(view, libxl, 'n0');
  fill(view, libxl, { frontend: front, backend: back, ...backend });
  view.remove(front);
  node(view, front, readable);
  view.write(`${front}/backend`, back);
  view.write(`${front}/backend-id`, 0);
  view.setPermissions(`${front}/backend-id`, `n${domid},r0`);
  const { tty = '', port, gfn } = console;
  fill(view, front, { limit: CONSOLE_LIMIT, type: 'xenconsoled', output: 'pty', tty, port, 'ring-ref': gfn });
  view.remove(back);
  node(view, back, readable);
  fill(view, back, { frontend: front, ...backend });
}

/** libxl__xs_mknod */
function node(view: StoreView, path: string, permissions: string): void {
  view.write(path, '');
  view.setPermissions(path, permissions);
}

function fill(view: StoreView, directory: string, values: { readonly [name: string]: StoreValue }): void {
  for (const [name, value] of Object.entries(values)) view.write(`${directory}/${name}`, value);
}
