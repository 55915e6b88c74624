// Section numbers are those of the SDM, vol. 3A.
import { describe, expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { BASE, BSP, EN, EXTD, makeApic, makeX2Apic, takeInterrupt } from '../fixtures/probe-apic.ts';
import { APIC_MSR, BROADCAST, DELIVERY, ERROR, LVT_MASKED, REG, SHORTHAND } from './registers.ts';

const PERIODIC = 1 << 17;
const DIVIDE_BY_1 = 0b1011;

describe('after power-up (11.4.7.1)', () => {
  it('has the register values of the SDM', () => {
    const { apic } = makeApic({}, false);
    expect(apic.read(REG.id)).toBe(0x0200_0000);
    expect(apic.read(REG.version)).toBe(0x0005_0014);
    expect(apic.read(REG.svr)).toBe(0xff);
    expect(apic.read(REG.dfr)).toBe(0xffff_ffff);
    for (const lvt of [REG.lvtTimer, REG.lvtThermal, REG.lvtPerf, REG.lvtLint0, REG.lvtLint1, REG.lvtError]) {
      expect(apic.read(lvt)).toBe(LVT_MASKED);
    }
    for (const zero of [
      REG.tpr,
      REG.ldr,
      REG.icrLow,
      REG.icrHigh,
      REG.timerInitial,
      REG.timerCurrent,
      REG.timerDivide,
      REG.esr,
    ]) {
      expect(apic.read(zero)).toBe(0);
    }
  });

  it('is in xAPIC mode at 0xfee00000, BSP set on the bootstrap processor alone (11.4.4)', () => {
    expect(makeApic().rdmsr(APIC_MSR.base)).toBe(BigInt(BASE | EN | BSP) & 0xffff_ffffn);
    expect(makeApic({ bootstrap: false }).rdmsr(APIC_MSR.base)).toBe(BigInt(BASE | EN) & 0xffff_ffffn);
  });

  it('takes no fixed interrupt until SVR enables it, and keeps LVT entries masked (11.4.7.2)', () => {
    const { apic, woken } = makeApic({}, false);
    apic.postInterrupt(0x40, false);
    expect(apic.hasInterrupt()).toBe(-1);
    expect(woken()).toBe(0);
    apic.write(REG.lvtTimer, 0x40);
    expect(apic.read(REG.lvtTimer)).toBe(LVT_MASKED | 0x40);
  });

  it('masks every LVT entry when SVR disables it (11.4.7.2)', () => {
    const { apic } = makeApic();
    apic.write(REG.lvtLint0, 0x40);
    apic.write(REG.svr, 0xff);
    expect(apic.read(REG.lvtLint0)).toBe(LVT_MASKED | 0x40);
    apic.write(REG.svr, 0x1ff);
    expect(apic.read(REG.lvtLint0)).toBe(LVT_MASKED | 0x40);
  });
});

describe('requests, priorities and EOI (11.8)', () => {
  it('delivers the highest vector first', () => {
    const { apic } = makeApic();
    for (const vector of [0x31, 0xff, 0x80, 0x10]) apic.postInterrupt(vector, false);
    expect(takeInterrupt(apic)).toBe(0xff);
    apic.eoi();
    expect(takeInterrupt(apic)).toBe(0x80);
    apic.eoi();
    expect(takeInterrupt(apic)).toBe(0x31);
    apic.eoi();
    expect(takeInterrupt(apic)).toBe(0x10);
  });

  it('moves a vector from IRR to ISR, and EOI clears it', () => {
    const { apic } = makeApic();
    apic.postInterrupt(0x65, false);
    expect(apic.read(REG.irr + 0x30)).toBe(1 << 5);
    takeInterrupt(apic);
    expect(apic.read(REG.irr + 0x30)).toBe(0);
    expect(apic.read(REG.isr + 0x30)).toBe(1 << 5);
    apic.write(REG.eoi, 0);
    expect(apic.read(REG.isr + 0x30)).toBe(0);
  });

  it('holds back vectors of the class in service and lower, not higher ones (11.8.3.1)', () => {
    const { apic } = makeApic();
    apic.postInterrupt(0x52, false);
    takeInterrupt(apic);
    apic.postInterrupt(0x5f, false);
    expect(apic.hasInterrupt()).toBe(-1);
    apic.postInterrupt(0x60, false);
    expect(apic.hasInterrupt()).toBe(0x60);
    takeInterrupt(apic);
    apic.eoi();
    expect(apic.hasInterrupt()).toBe(-1);
    apic.eoi();
    expect(apic.hasInterrupt()).toBe(0x5f);
  });

  it('holds back vectors up to the class of TPR', () => {
    const { apic } = makeApic();
    apic.write(REG.tpr, 0x57);
    apic.postInterrupt(0x5f, false);
    expect(apic.hasInterrupt()).toBe(-1);
    apic.write(REG.tpr, 0x4f);
    expect(apic.hasInterrupt()).toBe(0x5f);
  });

  it('computes PPR from TPR and ISR (11.8.3.1)', () => {
    const { apic } = makeApic();
    apic.write(REG.tpr, 0x23);
    expect(apic.read(REG.ppr)).toBe(0x23);
    apic.postInterrupt(0x45, false);
    takeInterrupt(apic);
    expect(apic.read(REG.ppr)).toBe(0x40);
    apic.write(REG.tpr, 0x4c);
    expect(apic.read(REG.ppr)).toBe(0x4c);
  });

  it('shows TPR bits 7:4 as CR8 (11.8.6)', () => {
    const { apic } = makeApic();
    apic.write(REG.tpr, 0x37);
    expect(apic.cr8).toBe(3);
    apic.cr8 = 0xa;
    expect(apic.read(REG.tpr)).toBe(0xa0);
  });

  it('broadcasts the EOI of a level-triggered vector alone (11.8.4, 11.8.5)', () => {
    const { apic, ended } = makeApic();
    apic.postInterrupt(0x40, true);
    expect(apic.read(REG.tmr + 0x20)).toBe(1);
    takeInterrupt(apic);
    apic.eoi();
    apic.postInterrupt(0x40, false);
    expect(apic.read(REG.tmr + 0x20)).toBe(0);
    takeInterrupt(apic);
    apic.eoi();
    expect(ended).toEqual([0x40]);
  });

  it('ignores an EOI with nothing in service', () => {
    const { apic, ended } = makeApic();
    apic.eoi();
    expect(ended).toEqual([]);
  });

  it('wakes its vCPU for a new vector, once', () => {
    const { apic, woken } = makeApic();
    apic.postInterrupt(0x40, false);
    apic.postInterrupt(0x40, false);
    expect(woken()).toBe(1);
  });
});

describe('register access (11.4.1)', () => {
  it('gives narrow reads their part, and drops narrow and unaligned writes', () => {
    const { apic } = makeApic();
    expect(apic.read(REG.version, 1)).toBe(0x14);
    expect(apic.read(REG.version + 2, 2)).toBe(0x0005);
    expect(apic.read(REG.version + 4)).toBe(0);
    apic.write(REG.tpr, 0x40, 1);
    apic.write(REG.tpr + 4, 0x40);
    expect(apic.read(REG.tpr)).toBe(0);
  });

  it('leaves read-only registers as they are', () => {
    const { apic } = makeApic();
    for (const register of [REG.id, REG.version, REG.ppr, REG.isr, REG.irr, REG.tmr, REG.timerCurrent]) {
      const before = apic.read(register);
      apic.write(register, 0xffff_ffff);
      expect(apic.read(register)).toBe(before);
    }
  });

  it('keeps only the writable bits of LDR, DFR, SVR, TPR and the LVT (figures 11-8, 11-13, 11-14, 11-18, 11-23)', () => {
    const { apic } = makeApic();
    const written = (register: number, value: number): number => {
      apic.write(register, value);
      return apic.read(register);
    };
    expect(written(REG.ldr, 0xffff_ffff)).toBe(0xff00_0000);
    expect(written(REG.dfr, 0)).toBe(0x0fff_ffff);
    expect(written(REG.tpr, 0xffff_ffff)).toBe(0xff);
    expect(written(REG.svr, 0xffff_ffff)).toBe(0x3ff);
    expect(written(REG.lvtTimer, 0xfff9_ffff)).toBe(0x0001_00ff);
    expect(written(REG.lvtThermal, 0xffff_ffff)).toBe(0x0001_07ff);
    expect(written(REG.lvtLint0, 0xffff_ffff)).toBe(0x0001_a7ff);
    expect(written(REG.lvtError, 0xffff_ffff)).toBe(0x0001_00ff);
  });

  it('claims its page in xAPIC mode only', () => {
    const { apic, wrmsr } = makeApic();
    expect(apic.claims(BASE)).toBe(true);
    expect(apic.claims(BASE + 0xfff)).toBe(true);
    expect(apic.claims(BASE + 0x1000)).toBe(false);
    wrmsr(APIC_MSR.base, BASE | EN | EXTD);
    expect(apic.claims(BASE)).toBe(false);
    wrmsr(APIC_MSR.base, BASE);
    expect(apic.claims(BASE)).toBe(false);
  });

  it('moves with IA32_APIC_BASE (11.4.5)', () => {
    const { apic, wrmsr } = makeApic();
    expect(wrmsr(APIC_MSR.base, 0x12_3456_7000n | BigInt(EN))).toBe(true);
    expect(apic.baseGpa).toBe(0x12_3456_7000);
    expect(apic.claims(BASE)).toBe(false);
    expect(apic.claims(0x12_3456_7020)).toBe(true);
  });
});

describe('errors (11.5.3)', () => {
  it('shows an illegal register address after ESR is written', () => {
    const { apic } = makeApic();
    expect(apic.read(0x2f0)).toBe(0);
    expect(apic.read(REG.esr)).toBe(0);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.illegalRegister);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(0);
  });

  it('refuses to send a vector below 16', () => {
    const { apic, sent } = makeApic();
    apic.write(REG.icrLow, 0x0f);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.sendIllegalVector);
    expect(sent).toEqual([]);
  });

  it('refuses to receive a vector below 16', () => {
    const { apic } = makeApic();
    apic.postInterrupt(0x0f, false);
    expect(apic.hasInterrupt()).toBe(-1);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.receiveIllegalVector);
  });

  it('interrupts through the LVT error entry, once until ESR is written', () => {
    const { apic } = makeApic();
    apic.write(REG.lvtError, 0xfe);
    apic.read(0x2f0);
    expect(takeInterrupt(apic)).toBe(0xfe);
    apic.eoi();
    apic.read(0x2f0);
    expect(takeInterrupt(apic)).toBe(-1);
    apic.write(REG.esr, 0);
    apic.read(0x2f0);
    expect(takeInterrupt(apic)).toBe(0xfe);
  });

  it('collects a second error when the LVT error vector itself is illegal', () => {
    const { apic } = makeApic();
    apic.write(REG.lvtError, 0x05);
    apic.read(0x2f0);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.illegalRegister | ERROR.receiveIllegalVector);
  });
});

describe('interrupt command (11.6.1)', () => {
  it('sends destination, mode and vector', () => {
    const { apic, sent } = makeApic();
    apic.write(REG.icrHigh, 0x0400_0000);
    apic.write(REG.icrLow, 0xfd);
    apic.write(REG.icrHigh, 0x0300_0000);
    apic.write(REG.icrLow, 0x0841);
    expect(sent).toEqual([
      { shorthand: SHORTHAND.none, dest: 4, logical: false, mode: DELIVERY.fixed, vector: 0xfd, level: false },
      { shorthand: SHORTHAND.none, dest: 3, logical: true, mode: DELIVERY.fixed, vector: 0x41, level: false },
    ]);
  });

  it('is idle again at once: delivery status reads 0', () => {
    const { apic } = makeApic();
    apic.write(REG.icrLow, 0x10fd);
    expect(apic.read(REG.icrLow)).toBe(0xfd);
  });

  it('widens the broadcast destination', () => {
    const { apic, sent } = makeApic();
    apic.write(REG.icrHigh, 0xff00_0000);
    apic.write(REG.icrLow, 0x40);
    expect(sent[0]?.dest).toBe(BROADCAST);
  });

  it('delivers to itself by shorthand without the bus', () => {
    const { apic, sent } = makeApic();
    apic.write(REG.icrLow, 0x4_0077);
    expect(takeInterrupt(apic)).toBe(0x77);
    expect(sent).toEqual([]);
  });

  it('sends INIT, STARTUP and NMI, but not the INIT de-assert', () => {
    const { apic, sent } = makeApic();
    apic.write(REG.icrLow, 0xc_4500);
    apic.write(REG.icrLow, 0xc_8500);
    apic.write(REG.icrLow, 0xc_4609);
    apic.write(REG.icrLow, 0xc_4400);
    expect(sent.map((m) => [m.mode, m.shorthand, m.vector])).toEqual([
      [DELIVERY.init, SHORTHAND.others, 0],
      [DELIVERY.startup, SHORTHAND.others, 9],
      [DELIVERY.nmi, SHORTHAND.others, 0],
    ]);
  });

  it('does not send what table 11-3 calls invalid', () => {
    const { apic, sent } = makeApic();
    // NMI to self; INIT to all including self; the reserved mode; ExtINT.
    for (const icr of [0x4_0400, 0x8_0500, 0x0340, 0x0740]) apic.write(REG.icrLow, icr);
    expect(sent).toEqual([]);
    expect(apic.takeNmi()).toBe(false);
  });
});

describe('local sources (11.5.1)', () => {
  it('delivers by the mode of the entry', () => {
    const { apic } = makeApic();
    apic.write(REG.lvtLint0, 0x45);
    apic.signal(REG.lvtLint0);
    expect(takeInterrupt(apic)).toBe(0x45);
    apic.write(REG.lvtLint1, 0x400);
    apic.signal(REG.lvtLint1);
    expect(apic.takeNmi()).toBe(true);
    expect(apic.takeNmi()).toBe(false);
  });

  it('delivers nothing from a masked entry', () => {
    const { apic } = makeApic();
    apic.write(REG.lvtLint1, LVT_MASKED | 0x400);
    apic.signal(REG.lvtLint1);
    expect(apic.takeNmi()).toBe(false);
  });
});

describe('INIT (11.4.7.3)', () => {
  it('resets the registers but not the mode and the id', () => {
    const { apic, rdmsr, wrmsr, x2 } = makeX2Apic({ id: 6 });
    wrmsr(x2(REG.tpr), 0x40);
    apic.page.accept(DELIVERY.init, 0, false);
    expect(apic.takeInit()).toBe(true);
    apic.init();
    expect(rdmsr(x2(REG.tpr))).toBe(0n);
    expect(rdmsr(x2(REG.id))).toBe(6n);
    expect(rdmsr(x2(REG.ldr))).toBe(0x40n);
    expect(apic.takeInit()).toBe(false);
  });

  it('hands out the STARTUP vector once', () => {
    const { apic } = makeApic();
    expect(apic.takeStartup()).toBe(-1);
    apic.page.accept(DELIVERY.startup, 0x9a, false);
    expect(apic.takeStartup()).toBe(0x9a);
    expect(apic.takeStartup()).toBe(-1);
  });
});

describe('saved state', () => {
  it('goes on in another APIC where it was', () => {
    const first = makeApic();
    first.apic.write(REG.timerDivide, DIVIDE_BY_1);
    first.apic.write(REG.lvtTimer, PERIODIC | 0xec);
    first.apic.write(REG.timerInitial, 100_000);
    first.apic.postInterrupt(0x40, true);
    first.clock.advance(300_000);
    const state = structuredClone(first.apic.save());

    const second = makeApic({ id: 9 });
    second.clock.advance(300_000);
    second.apic.load(state);
    expect(second.apic.save()).toEqual(state);
    expect(second.apic.read(REG.timerCurrent)).toBe(70_000);
    expect(takeInterrupt(second.apic)).toBe(0x40);
    second.clock.advance(700_000);
    expect(takeInterrupt(second.apic)).toBe(0xec);
    second.apic.eoi();
    second.apic.eoi();
    expect(second.ended).toEqual([0x40]);
  });
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = makeApic();
      const { apic } = made;
      const handler = {
        read: (offset: number, size: number) => apic.read(offset, size),
        write: (offset: number, size: number, value: number) => apic.write(offset, value, size),
      };
      return {
        chip: made,
        ranges: [
          { handler, size: 0x1000 },
          { handler, size: 0x400 },
        ],
        clock: made.clock,
      };
    },
    ({ apic }) => {
      apic.write(REG.svr, 0x1ff);
      apic.write(REG.tpr, 0);
      apic.write(REG.lvtTimer, LVT_MASKED);
      // What the timer has asked for meanwhile.
      for (let i = 0; i < 256; i++) apic.eoi();
      for (let vector = apic.hasInterrupt(); vector >= 0; vector = apic.hasInterrupt()) {
        apic.acknowledge(vector);
        apic.eoi();
      }
      apic.postInterrupt(0x51, false);
      expect(takeInterrupt(apic)).toBe(0x51);
    },
  );
});
