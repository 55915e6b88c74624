// The probe itself: what a test may rely on before it says anything of Xen.
import { describe, expect, it } from 'vitest';
import { OP } from './probe-layout.ts';
import { useProbe, WIDTHS } from './use-probe.ts';

const [DE, GP, PF] = [0, 13, 14];
const LAPIC_ID = 0xfee0_0020;

describe.each(WIDTHS)('the %i-bit probe', (width) => {
  const guest = useProbe(width);

  it('runs in its own width', () => {
    const { probe } = guest;
    const at = probe.make(16, [0, 8, 0x1122_3344_5566_7788n]);
    expect(probe.load(at)).toBe(width === 64 ? 0x1122_3344_5566_7788n : 0x5566_7788n);
    probe.command(OP.store, at + 8, 0x8877_6655_4433_2211n);
    expect(probe.get(at + 8, 8)).toBe(width === 64 ? 0x8877_6655_4433_2211n : 0x4433_2211n);
  });

  it('reports what an instruction raised, and goes on', () => {
    const { probe } = guest;
    const hole = probe.hole();
    expect(probe.attempt(OP.load, hole)).toEqual({ vector: PF, error: 0, address: hole });
    const readOnly = probe.readOnly(probe.make(0x1000, [0, 4, 77]) & ~0xfff);
    expect(probe.attempt(OP.store, readOnly, 1)).toEqual({ vector: PF, error: 3, address: readOnly });
    expect(probe.attempt(OP.rdmsr, 0x4000_0005)).toMatchObject({ vector: GP, error: 0 });
    expect(probe.attempt(OP.nop)).toBeUndefined();
    expect(probe.count(DE)).toBe(0);
  });

  it('sees linear pages in a row that lie apart', () => {
    const { probe } = guest;
    const at = probe.scattered();
    probe.put(at, [0xffe, 4, 0x1234_5678]);
    expect(probe.command(OP.load32, at + 0xffe)[0]).toBe(0x1234_5678n);
    expect(probe.u16(at + 0xffe)).toBe(0x5678);
    expect(probe.u16(at + 0x1000)).toBe(0x1234);
  });

  it('has its local APIC at hand', () => {
    expect(guest.probe.command(OP.load32, LAPIC_ID)[0]).toBe(0n);
  });

  it('writes to the debug port', async () => {
    const { probe } = guest;
    probe.log.length = 0;
    for (const char of 'ok\n') probe.command(OP.out8, 0xe9, char.charCodeAt(0));
    await probe.until('the text', () => String.fromCharCode(...probe.log) === 'ok\n');
  });
});
