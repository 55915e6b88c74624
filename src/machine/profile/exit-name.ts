// What an exit is called in a profile: the hypercall, the port, the MSR.
import { HYPERVISOR } from '../../abi/xen/hypercall.ts';
import { EXIT, type ExitReason, GPR, type VcpuEngine } from '../../vcpu/contract.ts';

const HYPERCALLS: ReadonlyMap<number, string> = new Map(Object.entries(HYPERVISOR).map(([name, nr]) => [nr, name]));
const EXITS: ReadonlyMap<number, string> = new Map(Object.entries(EXIT).map(([name, code]) => [code, name]));

export function exitName(reason: ExitReason, engine: VcpuEngine): string {
  const { exit } = engine;
  switch (reason) {
    case EXIT.hypercall: {
      const nr = Number(engine.gpr(GPR.rax) & 0xffff_ffffn);
      return `hypercall ${HYPERCALLS.get(nr) ?? `0x${nr.toString(16)}`}`;
    }
    case EXIT.pio:
      return `port 0x${exit.port.toString(16)}`;
    case EXIT.mmio:
      return `mmio 0x${(exit.gpa - (exit.gpa % 4096)).toString(16)}`;
    case EXIT.msr:
      return `${exit.write ? 'wrmsr' : 'rdmsr'} 0x${(exit.msr >>> 0).toString(16)}`;
    default:
      return EXITS.get(reason) ?? `exit ${reason}`;
  }
}
