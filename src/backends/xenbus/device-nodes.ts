// The nodes a toolstack makes and removes for a device: libxl__device_generic_add and libxl__device_destroy of Xen 4.20.
import { XenbusState } from '../../abi/xen/xenbus.ts';
import { domainPath } from '../../xen/store/path.ts';
import type { StoreView } from '../../xen/store/store-view.ts';
import { libxlPath } from '../../xen/store/toolstack.ts';
import type { StoreKeys } from './backend-driver.ts';

/** Where a device's nodes are. */
export interface DevicePaths {
  readonly frontend: string;
  readonly backend: string;
  /** The toolstack's own copy of the backend's keys. */
  readonly libxl: string;
  /** Where each end leaves the reason for a failure. */
  readonly frontendError: string;
  readonly backendError: string;
}

/** What the toolstack writes for a device, beside what it writes for every one. */
export interface DeviceNodes {
  readonly frontend: StoreKeys;
  /** In the frontend's directory, and the guest may only read them. */
  readonly readOnlyFrontend: StoreKeys;
  readonly backend: StoreKeys;
}

export function devicePaths(domid: number, type: string, frontendType: string, id: number): DevicePaths {
  const backend = `backend/${type}/${domid}/${id}`;
  const frontend = `device/${frontendType}/${id}`;
  return {
    frontend: `${domainPath(domid)}/${frontend}`,
    backend: `${domainPath(0)}/${backend}`,
    libxl: `${libxlPath(domid)}/${frontend}`,
    frontendError: `${domainPath(domid)}/error/${frontend}`,
    backendError: `${domainPath(0)}/error/${backend}`,
  };
}

/** Makes the nodes of a new device, or those of an old one as if it were new. */
export function writeDevice(view: StoreView, domid: number, paths: DevicePaths, nodes: DeviceNodes): void {
  const backend = { 'frontend-id': domid, online: 1, ...nodes.backend, state: XenbusState.Initialising };
  view.remove(paths.libxl);
  fill(view, paths.libxl, { frontend: paths.frontend, backend: paths.backend, ...backend });
  makeDirectory(view, paths.frontend, `n${domid},r0`);
  fill(view, paths.frontend, { backend: paths.backend, 'backend-id': 0, state: XenbusState.Initialising, ...nodes.frontend });
  fill(view, paths.frontend, nodes.readOnlyFrontend);
  for (const name of Object.keys(nodes.readOnlyFrontend)) view.setPermissions(`${paths.frontend}/${name}`, `n0,r${domid}`);
  makeDirectory(view, paths.backend, `n0,r${domid}`);
  fill(view, paths.backend, { frontend: paths.frontend, ...backend });
}

/** Removes them, and the directories they leave empty. */
export function removeDevice(view: StoreView, paths: DevicePaths): void {
  removeUpwards(view, paths.frontend, 1);
  removeUpwards(view, paths.backend, 2);
  removeUpwards(view, paths.libxl, 1);
  removeErrors(view, paths);
}

/** Forgets the reasons for earlier failures. */
export function removeErrors(view: StoreView, paths: DevicePaths): void {
  removeUpwards(view, paths.backendError, 4);
  removeUpwards(view, paths.frontendError, 2);
}

export function fill(view: StoreView, directory: string, keys: StoreKeys): void {
  for (const [name, value] of Object.entries(keys)) view.write(`${directory}/${name}`, value);
}

function makeDirectory(view: StoreView, path: string, permissions: string): void {
  view.remove(path);
  view.mkdir(path);
  view.setPermissions(path, permissions);
}

function removeUpwards(view: StoreView, path: string, levels: number): void {
  view.remove(path);
  let parent = path;
  for (let level = 0; level < levels; level++) {
    parent = parent.slice(0, parent.lastIndexOf('/'));
    if (view.list(parent)?.length !== 0) return;
    view.remove(parent);
  }
}
