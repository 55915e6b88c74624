// Whose CPU the host has: what the manuals leave open, or have differently, differs by vendor.
import { readFileSync } from 'node:fs';

export type HostVendor = 'intel' | 'amd' | 'other';

/** By `vendor_id` of a /proc/cpuinfo; Hygon's processors are AMD's design. */
export function vendorOf(cpuinfo: string): HostVendor {
  switch (/^vendor_id\s*:\s*(\S+)/m.exec(cpuinfo)?.[1]) {
    case 'GenuineIntel':
      return 'intel';
    case 'AuthenticAMD':
    case 'HygonGenuine':
      return 'amd';
    default:
      return 'other';
  }
}

export const readCpuinfo = (): string => readFileSync('/proc/cpuinfo', 'utf8');
