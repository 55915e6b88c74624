// xen_version, vm_assist and console_io.
import { E2BIG, EFAULT, EINVAL, ENOBUFS, ENOSYS, EPERM } from '../../abi/xen/errno.ts';
import {
  COMPILE_INFO,
  CONSOLEIO,
  FeatureInfo,
  VarbufHead,
  VMASST_CMD,
  VMASST_TYPE_runstate_update_flag,
  XENFEAT,
  XENVER,
  XENVER_SIZE,
} from '../../abi/xen/version.ts';
import type { XenDomain } from '../domain.ts';
import { EMULATION, DomainHeader as Header } from '../domain-layout.ts';
import type { HypercallContext } from './hypercall-context.ts';

/** The version dom1 presents: its behaviour is that of Xen 4.20. */
export const XEN_VERSION = { major: 4, minor: 20, packed: (4 << 16) | 20 } as const;

const STRINGS = {
  extraversion: '.0',
  capabilities: 'xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ',
  changeset: 'unavailable',
  commandline: '<denied>',
  compiler: 'TypeScript',
  compile_by: 'dom1',
  compile_domain: '',
  compile_date: '',
} as const;

const bit = (n: number): number => 1 << n;
/** Sub-map 0 as an HVM or PVH guest without pirqs sees it. */
const FEATURES: number =
  bit(XENFEAT.writable_page_tables) |
  bit(XENFEAT.auto_translated_physmap) |
  bit(XENFEAT.hvm_callback_vector) |
  bit(XENFEAT.hvm_safe_pvclock) |
  bit(XENFEAT.memory_op_vnode_supported) |
  bit(XENFEAT.not_direct_mapped) |
  bit(XENFEAT.runstate_phys_area) |
  bit(XENFEAT.vcpu_time_phys_area) |
  bit(XENFEAT.dm_msix_all_writes);

/** Sub-map 0 of the features, as XENVER_get_features answers. */
export const features = (domain: XenDomain): number => FEATURES | (domain.emulates(EMULATION.pirq) ? bit(XENFEAT.hvm_pirqs) : 0);

/** xen_version(cmd, arg). */
export function xenVersion(c: HypercallContext): number {
  switch (c.args.low(0)) {
    case XENVER.version:
      return XEN_VERSION.packed;
    case XENVER.extraversion:
      return fixedString(c, STRINGS.extraversion, XENVER_SIZE.extraversion);
    case XENVER.capabilities:
      return fixedString(c, STRINGS.capabilities, XENVER_SIZE.capabilities);
    case XENVER.changeset:
      return fixedString(c, STRINGS.changeset, XENVER_SIZE.changeset);
    case XENVER.commandline:
      return fixedString(c, STRINGS.commandline, XENVER_SIZE.commandline);
    case XENVER.compile_info:
      return compileInfo(c);
    case XENVER.platform_parameters: {
      const size = c.caller.longMode ? 8 : 4;
      c.buffer.slice(size).fill(0);
      return c.buffer.copyOut(c.caller, c.args.pointer(1), size) ? 0 : -EFAULT;
    }
    case XENVER.get_features:
      return getFeatures(c);
    case XENVER.pagesize:
      return c.args.pointer(1) === 0n ? 4096 : -EINVAL;
    case XENVER.guest_handle: {
      const uuid = c.domain.at + Header.uuid0.offset;
      c.buffer.bytes.set(c.domain.memory.u8.subarray(uuid, uuid + 16));
      return c.buffer.copyOut(c.caller, c.args.pointer(1), 16) ? 0 : -EFAULT;
    }
    case XENVER.build_id:
      return -EPERM;
    case XENVER.extraversion2:
      return variableString(c, STRINGS.extraversion);
    case XENVER.capabilities2:
      return variableString(c, STRINGS.capabilities);
    case XENVER.changeset2:
      return variableString(c, STRINGS.changeset);
    case XENVER.commandline2:
      return variableString(c, STRINGS.commandline);
    default:
      return -ENOSYS;
  }
}

/** Puts ASCII text at `at` in the buffer, filled up with zeroes to `size`. */
function place(c: HypercallContext, at: number, text: string, size: number): void {
  for (let i = 0; i < size; i++) c.buffer.bytes[at + i] = i < text.length && i < size - 1 ? text.charCodeAt(i) : 0;
}

function fixedString(c: HypercallContext, text: string, size: number): number {
  place(c, 0, text, size);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), size) ? 0 : -EFAULT;
}

function compileInfo(c: HypercallContext): number {
  for (const name of ['compiler', 'compile_by', 'compile_domain', 'compile_date'] as const) {
    const [at, size] = COMPILE_INFO[name];
    place(c, at, STRINGS[name], size);
  }
  return c.buffer.copyOut(c.caller, c.args.pointer(1), XENVER_SIZE.compile_info) ? 0 : -EFAULT;
}

function getFeatures(c: HypercallContext): number {
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), FeatureInfo.sizeof)) return -EFAULT;
  if (FeatureInfo.submap_idx.get(c.buffer.view, 0) !== 0) return -EINVAL;
  FeatureInfo.submap.set(c.buffer.view, 0, features(c.domain));
  return c.buffer.copyOut(c.caller, c.args.pointer(1), FeatureInfo.sizeof) ? 0 : -EFAULT;
}

/** `struct xen_varbuf`: the length needed for a null pointer, else text without a terminator after the 4-byte head. */
function variableString(c: HypercallContext, text: string): number {
  const address = c.args.pointer(1);
  if (text.length > 0x10000) return -E2BIG;
  if (address === 0n) return text.length;
  if (!c.buffer.copyIn(c.caller, address, VarbufHead.sizeof)) return -EFAULT;
  const room = VarbufHead.len.get(c.buffer.view, 0);
  if (room === 0) return -EINVAL;
  if (text.length > room) return -ENOBUFS;
  place(c, 0, text, text.length + 1);
  return c.buffer.copyOut(c.caller, address + BigInt(VarbufHead.sizeof), text.length) ? text.length : -EFAULT;
}

/** vm_assist(cmd, type). An HVM guest has one assist. */
export function vmAssist(c: HypercallContext): number {
  const type = c.args.low(1);
  if (type !== VMASST_TYPE_runstate_update_flag) return -EINVAL;
  const { memory, at } = c.domain;
  const index = (at + Header.vm_assist.offset) >>> 2;
  switch (c.args.low(0)) {
    case VMASST_CMD.enable:
      Atomics.or(memory.i32, index, bit(type));
      return 0;
    case VMASST_CMD.disable:
      Atomics.and(memory.i32, index, ~bit(type));
      return 0;
    default:
      return -ENOSYS;
  }
}

/** Bytes of a CONSOLEIO_write served in one go; a guest that asks for more gets the rest in pieces of this size. */
const CONSOLE_PIECE = 1024;
/** The most a single call may write, so that its time is bounded. */
const CONSOLE_MAX = 1 << 20;

/** console_io(cmd, count, buffer): -EPERM for a domU, unless the domain was configured as on a debug build of Xen. */
export function consoleIo(c: HypercallContext): number {
  if (Header.console_io.get(c.domain.memory.view, c.domain.at) === 0) return -EPERM;
  switch (c.args.low(0)) {
    case CONSOLEIO.write: {
      const count = c.args.low(1);
      if (count > CONSOLE_MAX) return -E2BIG;
      for (let done = 0; done < count; done += CONSOLE_PIECE) {
        const size = Math.min(CONSOLE_PIECE, count - done);
        if (!c.buffer.copyIn(c.caller, c.args.pointer(2) + BigInt(done), size)) return -EFAULT;
        c.hooks.consoleWrite(c.buffer.slice(size).slice());
      }
      return 0;
    }
    default:
      // Reading is for the domain that owns the hypervisor's console.
      return -EPERM;
  }
}
