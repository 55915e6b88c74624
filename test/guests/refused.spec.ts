// Calls that exist for an HVM guest and refuse a domU, and the small ones: vm_assist, console_io, xsm_op, argo_op …
import { describe, expect, it } from 'vitest';
import { useProbe, WIDTHS } from './use-probe.ts';
import { CONSOLEIO, DOMID, E, HYPERVISOR, VMASST } from './xen-numbers.ts';

describe.each(WIDTHS)('calls for others, of a %i-bit guest', (width) => {
  const guest = useProbe(width);

  it("platform_op is the control domain's", () => {
    const { probe } = guest;
    expect(probe.call(HYPERVISOR.platform_op, probe.make(136, [0, 4, 55], [4, 4, 0x0300_0001]))).toBe(E.PERM);
  });

  it("sysctl and domctl are the toolstack's", () => {
    const { probe } = guest;
    // getpageframeinfo and physinfo with the interface versions of 4.20.
    expect(probe.call(HYPERVISOR.sysctl, probe.make(256, [0, 4, 3], [4, 4, 0x15]))).toBe(E.PERM);
    expect(probe.call(HYPERVISOR.domctl, probe.make(256, [0, 4, 5], [4, 4, 0x17]))).toBe(E.PERM);
  });

  it("dm_op is a device model's", () => {
    expect(guest.probe.call(HYPERVISOR.dm_op, DOMID.zero, 0, guest.probe.alloc(64))).toBe(E.PERM);
  });

  it('xsm_op needs FLASK', () => {
    expect(guest.probe.call(HYPERVISOR.xsm_op, guest.probe.alloc(64))).toBe(E.NOSYS);
  });

  it('argo is off', () => {
    expect(guest.probe.call(HYPERVISOR.argo_op, 1, guest.probe.alloc(64), 0, 0, 0)).toBe(E.OPNOTSUPP);
  });

  it('xenpmu_op is off', () => {
    expect(guest.probe.call(HYPERVISOR.xenpmu_op, 0, guest.probe.alloc(64))).toBe(E.OPNOTSUPP);
  });

  it("hypfs_op and the continuation of a domctl are the control domain's", () => {
    const { probe } = guest;
    expect(probe.call(HYPERVISOR.hypfs_op, 0, 0, 0, 0, 0)).toBe(E.PERM);
    expect(probe.call(HYPERVISOR.paging_domctl_cont, probe.make(256, [0, 4, 10], [4, 4, 0x17]))).toBe(E.PERM);
  });

  it('vm_assist has one type for an HVM guest', () => {
    const { probe } = guest;
    for (const type of [0, 1, 2, 3, 4, 6, 31, 32, 63, 64, 0xffff_ffff])
      for (const cmd of [VMASST.enable, VMASST.disable]) expect(probe.call(HYPERVISOR.vm_assist, cmd, type)).toBe(E.INVAL);
    expect(probe.call(HYPERVISOR.vm_assist, VMASST.enable, VMASST.runstate_update_flag)).toBe(0);
    expect(probe.call(HYPERVISOR.vm_assist, VMASST.disable, VMASST.runstate_update_flag)).toBe(0);
    expect(probe.call(HYPERVISOR.vm_assist, 2, VMASST.runstate_update_flag)).toBe(E.NOSYS);
  });

  it("console_io writes to the host's log", async () => {
    const { probe } = guest;
    const text = `guest ${width}\n`;
    const at = probe.scattered() + 0xffc;
    probe.write(at, new TextEncoder().encode(text));
    probe.log.length = 0;
    expect(probe.call(HYPERVISOR.console_io, CONSOLEIO.write, text.length, at)).toBe(0);
    await probe.until('the text', () => probe.log.length >= text.length);
    expect(new TextDecoder().decode(Uint8Array.from(probe.log))).toBe(text);
    expect(probe.call(HYPERVISOR.console_io, CONSOLEIO.write, 4, probe.hole())).toBe(E.FAULT);
    // Reading, and whatever else there may be, is for a domain that owns the console: xsm_console_io.
    expect(probe.call(HYPERVISOR.console_io, CONSOLEIO.read, 4, at)).toBe(E.PERM);
    expect(probe.call(HYPERVISOR.console_io, 2, 0, at)).toBe(E.PERM);
  });
});
