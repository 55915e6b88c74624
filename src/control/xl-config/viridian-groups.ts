// Groups of viridian enlightenments: xl.cfg(5), viridian=.
import { closest } from '../../util/closest.ts';
import { XlConfigError } from './config-error.ts';
import type { PlacedString } from './setting-reader.ts';

export const VIRIDIAN_GROUPS = [
  'base',
  'freq',
  'time_ref_count',
  'reference_tsc',
  'hcall_remote_tlb_flush',
  'apic_assist',
  'crash_ctl',
  'synic',
  'stimer',
  'hcall_ipi',
  'ex_processor_masks',
  'no_vp_limit',
  'cpu_hotplug',
] as const;

const DEFAULTS: readonly string[] = [
  'base',
  'freq',
  'time_ref_count',
  'apic_assist',
  'crash_ctl',
  'synic',
  'stimer',
  'no_vp_limit',
  'cpu_hotplug',
];

export const defaultViridianGroups = (): readonly string[] => DEFAULTS;

/** The groups that a list such as ["all", "!freq"] turns on. @throws XlConfigError */
export function viridianGroups(words: readonly PlacedString[]): readonly string[] {
  const on = new Set<string>();
  for (const { text, position } of words) {
    const off = text.startsWith('!');
    const name = off ? text.slice(1) : text;
    const all = { all: VIRIDIAN_GROUPS as readonly string[], defaults: DEFAULTS };
    const groups = name === 'all' || name === 'defaults' ? all[name] : [name];
    for (const group of groups) {
      if (!(VIRIDIAN_GROUPS as readonly string[]).includes(group)) {
        const near = closest(group, [...VIRIDIAN_GROUPS, 'all', 'defaults']);
        throw new XlConfigError(
          position,
          `there is no viridian group '${group}'`,
          near === undefined ? `use ${VIRIDIAN_GROUPS.join(', ')}` : `did you mean ${near}?`,
        );
      }
      if (off) on.delete(group);
      else on.add(group);
    }
  }
  const first = words[0];
  if (first !== undefined && on.size > 0 && !on.has('base'))
    throw new XlConfigError(
      first.position,
      'the viridian group base is off, and others are on',
      'add "base", or take the others away',
    );
  return VIRIDIAN_GROUPS.filter((group) => on.has(group));
}
