// Random sequences of what a guest and a backend do, against a model that knows grants only as "who uses what".
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EBUSY } from '../../abi/xen/errno.ts';
import { GNTST, GTF } from '../../abi/xen/grant-table.ts';
import { settle } from '../../util/inspect/inspect-node.ts';
import { GFN, GrantGuest } from '../fixtures/grant-guest.ts';
import type { GrantMapping } from './backend-grants.ts';
import { inspectGrants } from './inspect-grants.ts';

const REFS = 4;
const FIRST = 6; // two references of the toolstack, two others
const FLAGS = [GTF.invalid, GTF.permit_access, GTF.permit_access | GTF.readonly, GTF.permit_access | GTF.sub_page];

interface Slot {
  flags: number;
  frame: number;
  readers: number;
  writers: number;
  /** The page in use. */
  page: number;
  /** Bytes that a version 2 entry for part of a page says; and how many the use in progress may reach. */
  length: number;
  reach: number;
}

type Step =
  | { do: 'grant'; ref: number; flags: number; frame: number }
  | { do: 'map'; refs: number[]; readonly: boolean }
  | { do: 'unmap'; which: number }
  | { do: 'copy'; ref: number; offset: number; value: number }
  | { do: 'version'; version: 1 | 2 };

const ref = fc.integer({ min: 0, max: REFS - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('grant' as const),
    ref,
    flags: fc.constantFrom(...FLAGS),
    frame: fc.constantFrom(0, 1, 2, 0x4000), // the last one is a hole
  }),
  fc.record({ do: fc.constant('map' as const), refs: fc.array(ref, { minLength: 1, maxLength: 3 }), readonly: fc.boolean() }),
  fc.record({ do: fc.constant('unmap' as const), which: fc.nat(20) }),
  fc.record({ do: fc.constant('copy' as const), ref, offset: fc.integer({ min: 0, max: 5000 }), value: fc.nat(255) }),
  fc.record({ do: fc.constant('version' as const), version: fc.constantFrom(1 as const, 2 as const) }),
);

class Model {
  version: 1 | 2 = 1;
  readonly slots: Slot[] = Array.from({ length: REFS }, () => ({
    flags: 0,
    frame: 0,
    readers: 0,
    writers: 0,
    page: 0,
    length: 0,
    reach: 0,
  }));
  readonly held: { refs: number[]; readonly: boolean; mapping: GrantMapping }[] = [];

  /** Whether a use may begin; the slot counts it then. */
  begin(ref: number, readonly: boolean, map: boolean): number {
    const slot = this.slots[ref] as Slot;
    const used = slot.readers + slot.writers > 0;
    if (!used) {
      const sub = (slot.flags & GTF.sub_page) !== 0;
      if ((slot.flags & 3) !== GTF.permit_access || (map && sub)) return GNTST.general_error;
    }
    if (!readonly && slot.writers === 0 && slot.flags & GTF.readonly) return GNTST.general_error;
    if (!used && slot.frame === 0x4000) return GNTST.bad_page;
    if (!used) {
      slot.page = slot.frame;
      slot.reach = this.version === 2 && slot.flags & GTF.sub_page ? slot.length : 4096;
    }
    if (readonly) slot.readers++;
    else slot.writers++;
    return GNTST.okay;
  }

  end(ref: number, readonly: boolean): void {
    const slot = this.slots[ref] as Slot;
    if (readonly) slot.readers--;
    else slot.writers--;
  }
}

function run(g: GrantGuest, model: Model, step: Step): void {
  switch (step.do) {
    case 'grant': {
      const slot = model.slots[step.ref] as Slot;
      // A guest writes an entry whole; marks of a use are Xen's, and in version 1 it must not lose them.
      const marks = slot.writers > 0 ? GTF.reading | GTF.writing : slot.readers > 0 ? GTF.reading : 0;
      const flags = step.flags | (model.version === 1 ? marks : 0);
      g.grant(FIRST + step.ref, { flags, frame: GFN + step.frame, middle: 4096 << 16 });
      slot.flags = step.flags;
      slot.frame = step.frame;
      slot.length = 4096;
      return;
    }
    case 'map': {
      let wanted: number = GNTST.okay;
      const begun: number[] = [];
      for (const ref of step.refs) {
        wanted = model.begin(ref, step.readonly, true);
        if (wanted !== GNTST.okay) break;
        begun.push(ref);
      }
      const result = g.backend.map(
        step.refs.map((ref) => FIRST + ref),
        { readonly: step.readonly },
      );
      expect(typeof result === 'number' ? result : GNTST.okay).toBe(wanted);
      if (typeof result !== 'number') {
        const hosts = step.refs.map((ref) => g.memory.host(((GFN + (model.slots[ref] as Slot).page) * 4096) as never));
        expect(result.hosts).toEqual(hosts);
        model.held.push({ refs: step.refs, readonly: step.readonly, mapping: result });
      } else for (const ref of begun) model.end(ref, step.readonly);
      return;
    }
    case 'unmap': {
      const [held] = model.held.splice(step.which % Math.max(model.held.length, 1), 1);
      held?.mapping.unmap();
      for (const ref of held?.refs ?? []) model.end(ref, held?.readonly === true);
      return;
    }
    case 'copy': {
      let wanted = model.begin(step.ref, false, false);
      const at = (GFN + (model.slots[step.ref] as Slot).page) * 4096 + step.offset;
      if (wanted === GNTST.okay) {
        model.end(step.ref, false);
        if (step.offset >= 4096) wanted = GNTST.bad_copy_arg;
        else if (step.offset >= (model.slots[step.ref] as Slot).reach) wanted = GNTST.general_error;
      }
      expect(g.backend.copyTo(FIRST + step.ref, step.offset, Uint8Array.of(step.value))).toBe(wanted);
      if (wanted === GNTST.okay) expect((g.peek(at & ~3) >>> ((at & 3) * 8)) & 0xff).toBe(step.value);
      return;
    }
    case 'version': {
      const busy = model.slots.slice(2).some((slot) => slot.readers + slot.writers > 0);
      const change = step.version !== model.version;
      expect(g.setVersion(step.version)).toBe(change && busy ? -EBUSY : 0);
      if (!change || busy) return;
      model.version = step.version;
      // An entry that lives on keeps its flags and its frame only.
      for (const slot of model.slots) slot.length = 0;
      for (const slot of model.slots.slice(2)) Object.assign(slot, { flags: 0, frame: 0 });
      for (const slot of model.slots.slice(0, 2)) if ((slot.flags & 3) === 0) Object.assign(slot, { flags: 0 });
    }
  }
}

it('uses, marks and versions agree with a model', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const g = new GrantGuest();
      const model = new Model();
      for (const step of steps) {
        run(g, model, step);
        for (const [i, slot] of model.slots.entries()) {
          const marks = slot.writers > 0 ? GTF.reading | GTF.writing : slot.readers > 0 ? GTF.reading : 0;
          expect([i, g.inUse(FIRST + i)]).toEqual([i, marks]);
          const { active } = g.domain.grants;
          expect([active.readers(FIRST + i), active.writers(FIRST + i)]).toEqual([slot.readers, slot.writers]);
        }
      }
      for (const held of model.held) held.mapping.unmap();
      expect(g.domain.grants.active.inUse(FIRST)).toBe(false);
      expect(Array.from({ length: REFS }, (_, i) => g.inUse(FIRST + i))).toEqual([0, 0, 0, 0]);
    }),
    { numRuns: 150 },
  );
});

it('no argument whatever makes an operation throw or leaves a use behind', () => {
  const word = fc.oneof(fc.nat(16), fc.constantFrom(7, 0x7ff0, 0x1000, 0x10000, 0x100_0000, 0xffff_ffff), fc.nat());
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(0, 1, 2, 5, 6, 8, 10, 11), fc.array(word, { minLength: 20, maxLength: 20 }), fc.nat(2)), {
        maxLength: 20,
      }),
      fc.array(fc.tuple(fc.nat(16), fc.nat(0x1ff), fc.constantFrom(0, 7), fc.nat(70)), { maxLength: 8 }),
      fc.boolean(),
      (calls, entries, longMode) => {
        const g = new GrantGuest();
        for (const caller of g.callers) caller.longMode = longMode;
        for (const [ref, flags, domid, frame] of entries) g.grant(ref, { flags, domid, frame });
        for (const [op, words, count] of calls) {
          const result = g.call('grant_table_op', op, g.poke(0x2000, ...words), count);
          expect(result <= 0 && result > -4096).toBe(true);
        }
        // Copies leave nothing behind: what is in use is mapped, once for each handle.
        const { active } = g.domain.grants;
        let used = 0;
        for (let ref = 0; ref < 1024; ref++) used += active.readers(ref) + active.writers(ref);
        expect(used).toBe(settle(inspectGrants(g.domain).handles ?? -1));
      },
    ),
    { numRuns: 150 },
  );
});
