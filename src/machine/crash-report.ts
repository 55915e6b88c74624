// What a person wants to see of a guest that crashed: registers, mode, and the bytes at RIP.
import type { VcpuEngine } from '../vcpu/contract.ts';
import { GPR } from '../vcpu/contract.ts';

const hex = (value: bigint, digits = 16): string => value.toString(16).padStart(digits, '0');

/** Registers of a stopped vCPU, as lines of text. */
export function describeCrash(engine: VcpuEngine): string {
  const lines: string[] = [];
  const names = Object.entries(GPR);
  for (let i = 0; i < names.length; i += 4) {
    lines.push(
      names
        .slice(i, i + 4)
        .map(([name, index]) => `${name.padStart(3)} ${hex(engine.gpr(index))}`)
        .join('  '),
    );
  }
  const cs = engine.segment('cs');
  const ss = engine.segment('ss');
  lines.unshift(
    `rip ${hex(engine.rip)}  rflags ${hex(engine.rflags, 8)}  cs ${hex(BigInt(cs.selector), 4)}  ss ${hex(BigInt(ss.selector), 4)}  cpl ${engine.cpl}`,
  );
  lines.push(['cr0', 'cr2', 'cr3', 'cr4'].map((name) => `${name} ${hex(engine.control(name as 'cr0'))}`).join('  '));
  const code = new Uint8Array(16);
  const address = engine.longMode ? engine.rip : (engine.rip + cs.base) & 0xffff_ffffn;
  lines.push(
    engine.readVirtual(address, code)
      ? `code ${Array.from(code, (byte) => byte.toString(16).padStart(2, '0')).join(' ')}`
      : 'code not mapped',
  );
  return lines.join('\n');
}
