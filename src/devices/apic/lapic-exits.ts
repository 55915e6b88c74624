// Between a vCPU's exits and its own local APIC. Every vCPU has its APIC at the same address, so this comes before the bus.
import { EXIT, type Exit } from '../../vcpu/contract.ts';
import { LocalApic } from './lapic.ts';

/** Answers an `mmio` exit when it is to the APIC's page; false when it is somebody else's. 8 bytes are two times 4. */
export function serveApicMmio(apic: LocalApic, exit: Exit): boolean {
  if (exit.reason !== EXIT.mmio || !apic.claims(exit.gpa)) return false;
  const offset = exit.gpa - apic.baseGpa;
  if (exit.write) apic.write(offset, exit.dataLow, Math.min(exit.size, 4));
  else {
    exit.dataLow = apic.read(offset, exit.size);
    // The second half of 8 bytes lies between two registers: nothing is there.
    exit.dataHigh = 0;
  }
  return true;
}

/**
 * Answers an `msr` exit when the MSR is the APIC's: 'ok' or 'fault' (#GP), for `completeMsr`; 'other' when it is
 * somebody else's.
 */
export function serveApicMsr(apic: LocalApic, exit: Exit): 'ok' | 'fault' | 'other' {
  if (exit.reason !== EXIT.msr || !LocalApic.ownsMsr(exit.msr)) return 'other';
  const ok = exit.write ? apic.writeMsr(exit.msr, exit.dataLow, exit.dataHigh) : apic.readMsr(exit.msr, exit);
  return ok ? 'ok' : 'fault';
}
