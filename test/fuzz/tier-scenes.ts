// What programs for both tiers do beside computing: whatever regions must notice, or must leave to the interpreter.
import type { Random } from '../native/random.ts';
import { type ProgramWriter, u32 } from './program-writer.ts';
import { CODE, FUEL, LAZY_PTES, WINDOWS } from './tier-map.ts';

/** What a scene is part of. */
export interface Stage {
  readonly out: ProgramWriter;
  readonly random: Random;
  readonly user: boolean;
  /** Some instructions. */
  straight(): void;
}
type Scene = (stage: Stage) => void;

const PRESENT_WRITE = [1, 2, 3] as const;
const CR0_WP = 16;
const CR0_TS = 3;
const CR4_PGE = 7;
const CR4_SMAP = 21;

/** MOV EAX, target; JMP RAX: through the one mapping of the code or the other. Calls between the two go on where they are. */
const changeMapping: Scene = ({ out, random, straight }) => {
  const target = out.label();
  out.wide(0xb8);
  // Out of reach of a 16-bit CS.
  out.address(target, random.oneIn(3) || out.bits === 16 ? 'absolute' : 'alias');
  out.wide(0xff, 0xe0);
  if (random.oneIn(2)) straight();
  out.place(target);
};

/** A table of addresses in the middle of the code, as of a switch statement; what is left of the fuel chooses. */
const switchTable: Scene = ({ out, random, straight }) => {
  const wide = out.bits === 64;
  const cases = Array.from({ length: random.pick([2, 4, 8]) }, () => out.label());
  out.flat([0x8b, 0x04, 0x25], FUEL); // mov eax, [fuel]
  out.wide(0x83, 0xe0, cases.length - 1); // and eax, n - 1
  const table = out.label();
  out.flatPrefix();
  out.bytes(0xff, random.oneIn(3) ? 0x14 : 0x24, wide ? 0xc5 : 0x85); // call or jmp [table + rax * 8]
  const called = out.code[out.at - 2] === 0x14;
  out.address(table, 'linear');
  const end = out.label();
  if (called) out.relative([0xe9], end);
  out.place(table);
  for (const each of cases) {
    out.address(each);
    if (wide) out.bytes(0, 0, 0, 0);
  }
  for (const each of cases) {
    out.place(each);
    straight();
    if (called) out.wide(0xc3);
    else if (random.oneIn(2)) out.relative([0xe9], end);
  }
  out.place(end);
};

/** A function within that calls itself until the fuel is spent: deeper than regions have copies. */
const recursion: Scene = ({ out, random, straight }) => {
  const [self, enough, after] = [out.label(), out.label(), out.label()];
  out.relative([0xe8], self);
  out.relative([0xe9], after);
  out.place(self);
  out.heads.push(out.at);
  straight();
  out.burn();
  out.relative([0x0f, 0x88], enough);
  for (let calls = random.pick([1, 1, 2, 3]); calls > 0; calls--) {
    out.relative([0xe8], self);
    if (random.oneIn(2)) straight();
  }
  out.place(enough);
  out.wide(0xc3);
  out.place(after);
};

/** A far return or IRET to what comes next, in the same segment. */
const farReturn: Scene = ({ out, random }) => {
  const target = out.label();
  const push = () => {
    out.wide(0x68);
    out.address(target);
  };
  if (out.bits !== 64) {
    const interrupted = random.oneIn(2);
    if (interrupted) out.wide(0x9c); // pushfd
    out.wide(0x0e); // push cs
    push();
    out.wide(interrupted ? 0xcf : 0xcb);
  } else if (random.oneIn(2)) {
    out.bytes(0x8c, 0xc8, 0x50); // mov eax, cs; push rax
    push();
    out.bytes(0x48, 0xcb);
  } else {
    out.bytes(0x48, 0x89, 0xe1, 0x8c, 0xd0, 0x50, 0x51, 0x9c, 0x8c, 0xc8, 0x50); // mov rcx, rsp; push ss, rcx, flags, cs
    push();
    out.bytes(0x48, 0xcf);
  }
  out.place(target);
};

/** INT 0x80, SYSCALL or SYSENTER; the handlers return at once. */
const systemCall: Scene = ({ out, random, user }) => {
  if (!user || random.oneIn(3)) return out.bytes(0xcd, 0x80);
  if (out.bits === 16 || random.oneIn(2)) return out.bytes(0x0f, 0x05); // outside of 64-bit code #UD
  const next = out.label();
  out.bytes(0xba); // mov edx, next
  out.address(next);
  out.bytes(...(out.bits === 64 ? [0x48] : []), 0x89, 0xe1, 0x0f, 0x34); // mov ecx, esp; sysenter
  out.place(next);
};

/** The page tables: rights of a lazy page, and INVLPG of it. */
const changeRights: Scene = ({ out, random }) => {
  const page = random.below(WINDOWS.lazy.pages);
  out.flat([0x83, 0x34, 0x25], LAZY_PTES + page * 8); // xor d[entry], bits
  out.bytes(random.pick(PRESENT_WRITE));
  const address = WINDOWS.lazy.at + page * 4096 + random.below(4096);
  out.flat([0x0f, 0x01, 0x3c, 0x25], address);
};

const reloadCr3: Scene = ({ out }) => out.bytes(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8);

/** Inverts a bit that data accesses or SSE depend on, and now and then inverts it back a little later. */
const changeControl: Scene = ({ out, random, straight }) => {
  const [register, bit] = random.pick([
    [0, CR0_WP],
    [0, CR0_WP],
    [0, CR0_TS],
    [4, CR4_PGE],
    [4, CR4_SMAP],
    [4, CR4_SMAP],
  ] as const);
  const invert = () => {
    const modrm = 0xc0 | (register << 3);
    out.bytes(0x0f, 0x20, modrm); // mov rax, cr; btc eax, bit; mov cr, rax
    out.wide(0x0f, 0xba, 0xf8, bit);
    out.bytes(0x0f, 0x22, modrm);
  };
  invert();
  if (bit !== CR0_TS && random.oneIn(2)) return;
  straight();
  invert();
};

/** A constant that reaches from one page of code into the next, and a store to it, at once or to one of its pages. */
const changeAcrossPages: Scene = ({ out, random }) => {
  const border = Math.ceil((out.at + 40) / 4096) * 4096;
  if (border - out.at > 600 || border + 600 > CODE.bytes) return;
  const constant = border - 1 - random.below(3);
  const there = out.label();
  const at = constant + random.below(5) - 1;
  const address = at + (random.oneIn(2) ? WINDOWS.alias.at : CODE.at);
  const wide = random.oneIn(2);
  out.flat([wide ? 0x81 : 0x80, 0x04, 0x25], address); // add
  out.bytes(...(wide ? u32(random.u32()) : [random.below(256)]));
  out.relative([0xe9], there);
  out.at = constant - (out.bits === 16 ? 2 : 1);
  out.place(there);
  out.wide(0xb8 | random.below(4), ...u32(random.u32()));
};

/** INC that becomes DEC, and the other way round. */
const changeOpcode: Scene = ({ out, random, straight }) => {
  const place = out.label();
  const change = () => {
    out.flat([0x80, 0x34, 0x25], 0); // xor b[place], 8
    const at = out.at - 4;
    out.bytes(8);
    const base = random.oneIn(2) ? WINDOWS.alias.at : CODE.at;
    out.later(() => out.put32(at, base + (place.at ?? 0)));
  };
  if (random.oneIn(2)) change();
  if (random.oneIn(2)) straight();
  out.bytes(0xff);
  out.place(place);
  out.bytes(0xc0 | random.below(3));
  if (random.oneIn(2)) change();
};

/** A store to the next instruction, of what is left of the fuel, by REP STOS. */
const changeByString: Scene = ({ out, random }) => {
  if (out.bits === 16) return;
  const constant = out.label();
  const base = random.oneIn(2) ? WINDOWS.alias.at : CODE.at;
  out.flat([0x8b, 0x04, 0x25], FUEL); // mov eax, [fuel]
  out.bytes(0xb9, 1 + random.below(4), 0, 0, 0, 0xbf); // mov ecx, n; mov edi, constant
  const at = out.at;
  out.later(() => out.put32(at, base + (constant.at ?? 0)));
  out.bytes(0, 0, 0, 0, 0xf3, 0xaa);
  for (let i = random.below(3); i > 0; i--) out.bytes(0x90);
  out.bytes(0xb8 | random.below(3));
  out.place(constant);
  out.bytes(...u32(random.u32()));
};

/** REP MOVS or STOS over the border of pages that are absent or read-only, in either direction. */
const faultyString: Scene = ({ out, random }) => {
  const near = () => WINDOWS.lazy.at - (out.bits === 16 ? WINDOWS.data.at : 0) + 4096 * random.below(4) + random.below(256) - 128;
  const down = random.oneIn(4);
  if (down) out.bytes(0xfd);
  const width = random.pick([0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xae]);
  out.wide(0xb9, ...u32(random.below(400)));
  out.wide(0xbe, ...u32(near()));
  out.wide(0xbf, ...u32(near()));
  if (out.bits === 16) out.bytes(0x67);
  out.bytes(random.pick([0xf2, 0xf3]), ...(out.bits === 64 && random.oneIn(2) ? [0x48] : []), width);
  if (down) out.bytes(0xfc);
};

const ANY: readonly Scene[] = [changeMapping, switchTable, recursion, farReturn, systemCall, faultyString];
const SUPERVISOR: readonly Scene[] = [...ANY, changeRights, changeRights, reloadCr3, changeControl, changeControl];
const MODIFYING: readonly Scene[] = [changeAcrossPages, changeOpcode, changeOpcode, changeByString];

export function randomScene(stage: Stage, selfModifying: boolean): void {
  const { random, user } = stage;
  const scene = selfModifying && random.oneIn(2) ? random.pick(MODIFYING) : random.pick(user ? ANY : SUPERVISOR);
  scene(stage);
}
