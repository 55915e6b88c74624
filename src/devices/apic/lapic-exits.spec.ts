import { expect, it } from 'vitest';
import type { HostAddress } from '../../abi/types.ts';
import { VirtualClock } from '../../time/clock.ts';
import { EXIT, type Exit, newExit } from '../../vcpu/contract.ts';
import { APIC_PAGE_BYTES } from './apic-page.ts';
import { LocalApic, lapicTrace } from './lapic.ts';
import { serveApicMmio, serveApicMsr } from './lapic-exits.ts';

function make(): LocalApic {
  const region = { at: 4096 as HostAddress, size: APIC_PAGE_BYTES };
  const options = { clock: new VirtualClock(), tscKHz: 1_000_000, id: 0, bootstrap: true };
  const sinks = { send: () => {}, eoi: () => {}, wake: () => {} };
  return new LocalApic(
    new SharedArrayBuffer(8192),
    region,
    options,
    sinks,
    lapicTrace(() => {}),
  );
}

const exitOf = (fields: Partial<Exit>): Exit => ({ ...newExit(), reason: EXIT.mmio, size: 4, ...fields });

it('serves the register page and nothing beside it', () => {
  const apic = make();
  expect(serveApicMmio(apic, exitOf({ gpa: 0xfee0_00f0, write: true, dataLow: 0x1ff }))).toBe(true);
  const exit = exitOf({ gpa: 0xfee0_00f0, dataHigh: 1 });
  expect(serveApicMmio(apic, exit)).toBe(true);
  expect([exit.dataLow, exit.dataHigh]).toEqual([0x1ff, 0]);
  expect(serveApicMmio(apic, exitOf({ gpa: 0xfec0_0000 }))).toBe(false);
  expect(serveApicMmio(apic, exitOf({ reason: EXIT.pio, gpa: 0xfee0_00f0 }))).toBe(false);
});

it('tells its MSRs, good and bad, from the others', () => {
  const apic = make();
  const read = exitOf({ reason: EXIT.msr, msr: 0x1b });
  expect(serveApicMsr(apic, read)).toBe('ok');
  expect(read.dataLow >>> 0).toBe(0xfee0_0900);
  expect(serveApicMsr(apic, exitOf({ reason: EXIT.msr, msr: 0x1b, write: true, dataLow: 0xfee0_0d00 | 0 }))).toBe('ok');
  expect(serveApicMsr(apic, exitOf({ reason: EXIT.msr, msr: 0x802 }))).toBe('ok');
  expect(serveApicMsr(apic, exitOf({ reason: EXIT.msr, msr: 0x80e }))).toBe('fault');
  expect(serveApicMsr(apic, exitOf({ reason: EXIT.msr, msr: 0x80f, write: true, dataLow: 0x400 }))).toBe('fault');
  expect(serveApicMsr(apic, exitOf({ reason: EXIT.msr, msr: 0xc000_0080 }))).toBe('other');
  expect(serveApicMsr(apic, exitOf({ msr: 0x1b }))).toBe('other');
});
