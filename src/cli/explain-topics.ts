// What `dom1 explain` knows, made of the tables that the program itself works by.
import { HV_CALL, HV_LEAF, HV_MSR } from '../abi/hyperv.ts';
import * as ERRNO from '../abi/xen/errno.ts';
import { VIRQ } from '../abi/xen/event-channel.ts';
import { CPUID_BASE, HVM_PARAM, MSR_HYPERCALL_PAGE, VIRIDIAN_SHIFT } from '../abi/xen/hvm.ts';
import { HYPERVISOR } from '../abi/xen/hypercall.ts';
import { SHUTDOWN } from '../abi/xen/sched.ts';
import { XenbusState } from '../abi/xen/xenbus.ts';
import { CONTROL_COMMANDS } from '../control/command-table.ts';
import { CONFIG_KEYS } from '../control/xl-config/key-table.ts';
import { MSR } from '../cpu/system/msr.ts';
import { END_REASON } from '../machine/domain-config.ts';
import { tracepointNames } from '../machine/tracepoints.ts';
import { type CallName, GROUPS, isServed, REFUSED } from '../xen/calls/call-list.ts';
import { LEAF as XEN_LEAF } from '../xen/cpuid.ts';
import { errnoMeaning } from './errno-meanings.ts';
import { CONTROL_EXIT_CODE_HELP, EXIT_CODE_HELP, IMAGE_EXIT_CODE_HELP } from './exit-codes.ts';

/** One thing that has a name, or a number, among others of its kind. */
export interface Topic {
  readonly kind: string;
  readonly name: string;
  readonly number?: number;
  /** Other names that people write. */
  readonly aliases?: readonly string[];
  /** Sentences. */
  readonly text: readonly string[];
}

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

const refused = (errno: string): string =>
  `An unprivileged HVM domain is refused, whatever its arguments: -${errno} (${errnoMeaning(errno)}).`;

function hypercalls(): readonly Topic[] {
  return Object.entries(HYPERVISOR).map(([name, number]) => {
    const group = GROUPS[name as CallName];
    const refusal = REFUSED[name];
    const list = Object.entries(group?.ops ?? {}).map(([op, nr]) => `${nr} ${op}`);
    const answer =
      refusal !== undefined
        ? refused(refusal)
        : isServed(name as CallName)
          ? 'It is served as in Xen 4.20.'
          : 'It is for PV guests, or not in this build of Xen: -ENOSYS.';
    return {
      kind: 'hypercall',
      name,
      number,
      aliases: [`__HYPERVISOR_${name}`, `HYPERVISOR_${name}`, `xen.${name}`],
      text: [
        answer,
        ...(group === undefined ? [] : [`Its first argument says the operation (${group.prefix}_…): ${list.join(', ')}.`]),
        `Calls of it are counted in \`dom1 inspect <domain> /xen/hypercalls/${name}\`.`,
      ],
    };
  });
}

function operations(): readonly Topic[] {
  return Object.entries(GROUPS).flatMap(([call, { prefix, ops }]) =>
    Object.entries(ops).map(([op, number]) => {
      const refusal = REFUSED[`${prefix}.${op}`];
      return {
        kind: 'operation',
        name: `${prefix}_${op}`,
        aliases: [`${prefix}.${op}`, `${call}.${op}`, `xen.${call}.${op}`],
        text: [
          `Operation ${number} of the hypercall ${HYPERVISOR[call as CallName]}, ${call}.`,
          refusal === undefined ? 'It is served as in Xen 4.20.' : refused(refusal),
        ],
      };
    }),
  );
}

function errnos(): readonly Topic[] {
  return Object.entries(ERRNO).map(([name, number]) => {
    const calls = Object.entries(REFUSED).filter(([, errno]) => errno === name);
    return {
      kind: 'errno',
      name,
      number,
      aliases: [`-${name}`, `-${number}`],
      text: [
        `A hypercall returns it negated, as -${number}: ${errnoMeaning(name)}.`,
        ...(calls.length === 0 ? [] : [`Always of: ${calls.map(([call]) => call.replace('.', '_')).join(', ')}.`]),
      ],
    };
  });
}

function shutdowns(): readonly Topic[] {
  return Object.entries(SHUTDOWN).map(([name, number]) => {
    const key = CONFIG_KEYS.find((row) => row.name === `on_${name}`);
    return {
      kind: 'shutdown',
      name,
      number,
      aliases: [`SHUTDOWN_${name}`],
      text: [
        `A guest gives this reason with SCHEDOP_shutdown${END_REASON[number] === undefined ? '; the domain does not end by it' : ''}.`,
        ...(key === undefined ? [] : [`${key.name} says what follows (default ${key.default}): ${key.values?.join(', ')}.`]),
      ],
    };
  });
}

const virqs = (): readonly Topic[] =>
  Object.entries(VIRQ).map(([name, number]) => ({
    kind: 'virq',
    name: `VIRQ_${name}`,
    number,
    aliases: [name],
    text: ['A guest binds it to an event channel with EVTCHNOP_bind_virq; `dom1 event-list` shows it under target.'],
  }));

const xenbusStates = (): readonly Topic[] =>
  Object.entries(XenbusState).map(([name, number]) => ({
    kind: 'xenbus',
    name,
    number,
    aliases: [`XenbusState${name}`],
    text: [
      'It stands in the node `state` of a device in XenStore; `dom1 block-list` and `dom1 network-list` show that of the guest.',
    ],
  }));

const params = (): readonly Topic[] =>
  Object.entries(HVM_PARAM).map(([name, number]) => ({
    kind: 'param',
    name: `HVM_PARAM_${name}`,
    number,
    aliases: [name],
    text: [
      'A parameter of an HVM domain: HVMOP_get_param and HVMOP_set_param. `dom1 inspect <domain> /xen/params` shows its value.',
    ],
  }));

function msrs(): readonly Topic[] {
  const row = (name: string, number: number, text: string): Topic => ({ kind: 'msr', name, number, text: [text] });
  return [
    ...Object.entries(MSR).map(([name, number]) => row(name, number, "It is the processor's: SDM vol. 4, chapter 2.")),
    row('hypercall_page', MSR_HYPERCALL_PAGE, "Writing a guest page's address makes it Xen's hypercall page."),
    row(
      'hypercall_page',
      MSR_HYPERCALL_PAGE + VIRIDIAN_SHIFT.msr,
      "Writing a guest page's address makes it Xen's hypercall page, in a domain with viridian.",
    ),
    ...Object.entries(HV_MSR).map(([name, number]) =>
      row(`HV_X64_MSR_${name.toUpperCase()}`, number, "It is Microsoft's, in a domain with viridian."),
    ),
  ];
}

const XEN_LEAVES: Readonly<Record<keyof typeof XEN_LEAF, string>> = {
  signature: 'The largest leaf, and "XenVMMXenVMM".',
  version: "Xen's version: major in bits 31:16, minor in 15:0.",
  hypercalls: 'How many hypercall pages there are, and the MSR that places them.',
  time: 'How the TSC is provided; its scale and frequency in the sub-leaves.',
  hvm: 'What an HVM domain has: its number, that of the virtual CPU, and which features.',
  last: 'Of PV domains; all 0 here.',
};

function leaves(): readonly Topic[] {
  const xen = Object.entries(XEN_LEAF) as [keyof typeof XEN_LEAF, number][];
  const row = (name: string, number: number, ...text: readonly string[]): Topic => ({ kind: 'cpuid', name, number, text });
  return [
    ...xen.map(([name, leaf]) => row(`xen ${name}`, CPUID_BASE + leaf, XEN_LEAVES[name])),
    ...xen.map(([name, leaf]) =>
      row(`xen ${name}`, CPUID_BASE + VIRIDIAN_SHIFT.cpuid + leaf, XEN_LEAVES[name], 'It is here in a domain with viridian.'),
    ),
    ...Object.entries(HV_LEAF).map(([name, leaf]) =>
      row(`viridian ${name}`, leaf, "It is Microsoft's, in a domain with viridian."),
    ),
  ];
}

const viridianCalls = (): readonly Topic[] =>
  Object.entries(HV_CALL).map(([name, number]) => ({
    kind: 'viridian',
    name,
    number,
    text: ["A hypercall of Microsoft's interface, in a domain with viridian; `--trace xen.viridian_call` shows each."],
  }));

const SUPPORT = {
  yes: 'It is taken into account.',
  ignored: 'It means something on a Xen host, and nothing here; that is no loss to the guest.',
  no: 'It is not supported yet; a warning says so.',
} as const;

function keys(): readonly Topic[] {
  return CONFIG_KEYS.map(({ name, type, meaning, support, default: otherwise, values, min, max, instead }) => ({
    kind: 'key',
    name,
    text: [
      `In a configuration: ${meaning}.`,
      `Its value is ${type === 'any' ? 'not looked at' : `of the kind ${type.replaceAll('-', ' ')}`}${
        values === undefined ? '' : `: ${values.join(', ')}`
      }${min === undefined ? '' : `, at least ${min}`}${max === undefined ? '' : `, at most ${max}`}${
        otherwise === undefined ? '' : `; default ${otherwise}`
      }.`,
      SUPPORT[support],
      ...(instead === undefined ? [] : [`It is deprecated: write ${instead}.`]),
    ],
  }));
}

function exits(): readonly Topic[] {
  const tables = [
    ['of run and demo', EXIT_CODE_HELP],
    ['of the commands on disk images', IMAGE_EXIT_CODE_HELP],
    ['of the other commands', CONTROL_EXIT_CODE_HELP],
  ] as const;
  return tables.flatMap(([where, rows]) =>
    rows.flatMap(([codes, meaning]) =>
      codes
        .split(', ')
        .filter((code) => /^\d+$/.test(code))
        .map((code) => ({ kind: 'exit', name: `exit ${code} ${where}`, number: Number(code), text: [`${meaning}.`] })),
    ),
  );
}

const tracepoints = (): readonly Topic[] =>
  tracepointNames().map((name) => ({
    kind: 'tracepoint',
    name,
    text: [`A tracepoint: --trace '${name}' of dom1 run or create prints each.`],
  }));

const monitorCommands = (): readonly Topic[] =>
  CONTROL_COMMANDS.map(({ name, help, arguments: given }) => ({
    kind: 'monitor',
    name,
    text: [
      `A command of a domain's monitor: ${help}.`,
      ...Object.entries(given).map(
        ([argument, { type, optional, help: meaning }]) =>
          `${argument} (${type}${optional === true ? ', may be left out' : ''}): ${meaning}.`,
      ),
    ],
  }));

export const numberText = ({ number }: Topic): string =>
  number === undefined ? '' : number > 4095 || number < 0 ? ` (${hex(number)})` : ` (${number})`;

/** Kinds, as they are asked for: their numbers may be the same. */
export const TOPIC_KINDS: Readonly<Record<string, { readonly what: string; readonly topics: () => readonly Topic[] }>> = {
  hypercall: { what: 'hypercalls and their operations', topics: () => [...hypercalls(), ...operations()] },
  errno: { what: 'errors of hypercalls', topics: errnos },
  shutdown: { what: 'reasons for which a guest ends', topics: shutdowns },
  virq: { what: 'virtual interrupts', topics: virqs },
  xenbus: { what: "states of a device's two ends", topics: xenbusStates },
  param: { what: 'HVM parameters', topics: params },
  msr: { what: 'model-specific registers', topics: msrs },
  cpuid: { what: "the hypervisor's CPUID leaves", topics: leaves },
  viridian: { what: "Microsoft's hypercalls", topics: viridianCalls },
  key: { what: 'keys of a configuration', topics: keys },
  exit: { what: 'exit codes of dom1', topics: exits },
  tracepoint: { what: 'tracepoints for --trace', topics: tracepoints },
  monitor: { what: "commands of a domain's monitor", topics: monitorCommands },
};
