// Compares a decoder with iced-x86 on random byte strings: what is valid, lengths, and operands where the decoder tells them.
import {
  Code,
  CodeSize,
  CpuidFeature,
  Decoder,
  DecoderOptions,
  Instruction,
  Mnemonic,
  OpCodeOperandKind,
  OpKind,
  Register,
} from 'iced-x86';
import { fillInstruction, STRING_LENGTH } from './instruction-bytes.ts';
import { Random } from './random.ts';

export type DecodeMode = 16 | 32 | 64;

/** A memory operand given by ModRM or as an absolute offset. */
export interface DecodedMemory {
  /** Names in lower case; `rip` for RIP-relative; undefined for none. */
  readonly base: string | undefined;
  readonly index: string | undefined;
  /** 1, 2, 4 or 8; 1 without an index. */
  readonly scale: number;
  /** As encoded: for RIP-relative the distance from the next instruction. Compared modulo 2 to the address size. */
  readonly displacement: bigint;
  /** `es`…`gs`: the one used. */
  readonly segment: string;
}

/** What a decoder says about a string of bytes. What is undefined is not compared. */
export interface DecodedBytes {
  /** True: no such instruction; then nothing else matters. */
  readonly invalid?: boolean;
  /** In bytes, 1 … 15. */
  readonly length: number;
  /** What the decoder calls it; for reports only. */
  readonly name?: string;
  /** Registers named by ModRM or the low bits of the opcode, in the order of the operands; names of iced-x86 in lower case. */
  readonly registers?: readonly string[];
  /** `null`: no memory operand from ModRM or an offset. */
  readonly memory?: DecodedMemory | null;
  /** Immediates in the order of the operands, far pointers and branches not among them; compared modulo 2 to their size. */
  readonly immediates?: readonly bigint[];
  /** Distance of a near branch from the next instruction; compared modulo 2 to the operand size. */
  readonly branch?: bigint;
}

export type Decode = (bytes: Uint8Array, mode: DecodeMode) => DecodedBytes;

export interface Mismatch {
  readonly mode: DecodeMode;
  readonly bytes: Uint8Array;
  readonly kind: 'length' | 'accepts' | 'rejects' | 'registers' | 'memory' | 'immediates' | 'branch';
  /** iced-x86's name of the form, such as `Add_rm32_r32`; for one it does not know, `INVALID` and the decoder's name. */
  readonly form: string;
  readonly text: string;
}

export interface DecoderReport {
  readonly seed: number;
  readonly tested: number;
  /** Strings both take for the same instruction. */
  readonly agreed: number;
  /** Strings both take for no instruction. */
  readonly bothInvalid: number;
  /** The first ones of each kind and form. */
  readonly mismatches: readonly Mismatch[];
  /** How many there were altogether. */
  readonly mismatchCount: number;
  /** Forms the decoder rejected that `implemented` says it need not know, with how often they came. */
  readonly unimplemented: ReadonlyMap<string, number>;
}

export interface DecoderFuzzOptions {
  readonly seed: number;
  readonly mode: DecodeMode;
  readonly count: number;
  readonly decode: Decode;
  /** Whether the decoder must know an instruction, by its form and CPUID features (names of iced-x86). Default: all. */
  readonly implemented?: (form: string, features: readonly string[]) => boolean;
  /** Forms for which an acceptance or a rejection is no mismatch; each with a reason where it is listed. */
  readonly exempt?: (form: string, kind: Mismatch['kind']) => boolean;
  /** Options for iced-x86, e.g. `NoInvalidCheck`. Default: none, an Intel CPU. */
  readonly icedOptions?: DecoderOptions;
}

const STRINGS_AT_ONCE = 4096;
/** Reports of one kind and form are cut off here. */
const KEPT_PER_FORM = 3;

/** Runs `count` strings through both decoders. Takes about 3 µs a string beside the decoder's own time. */
export function compareDecoders(options: DecoderFuzzOptions): DecoderReport {
  const { seed, mode, count, decode } = options;
  const random = new Random(seed);
  const strings = new Uint8Array(STRINGS_AT_ONCE * STRING_LENGTH);
  const instruction = new Instruction();
  const mismatches: Mismatch[] = [];
  const kept = new Map<string, number>();
  const unimplemented = new Map<string, number>();
  let agreed = 0,
    bothInvalid = 0,
    mismatchCount = 0;

  for (let tested = 0; tested < count; tested += STRINGS_AT_ONCE) {
    const n = Math.min(STRINGS_AT_ONCE, count - tested);
    for (let i = 0; i < n; i++) fillInstruction(random, strings, i * STRING_LENGTH, mode);
    const iced = new Decoder(mode, strings, options.icedOptions ?? DecoderOptions.None);
    for (let i = 0; i < n; i++) {
      const bytes = strings.subarray(i * STRING_LENGTH, (i + 1) * STRING_LENGTH);
      iced.position = i * STRING_LENGTH;
      iced.ip = 0x1000n;
      iced.decodeOut(instruction);
      const ours = decode(bytes, mode);
      const found = compareOne(ours, instruction);
      if (found === undefined) {
        if (ours.invalid === true) bothInvalid++;
        else agreed++;
        continue;
      }
      const form = found.kind === 'accepts' ? `INVALID ${ours.name ?? ''}` : (Code[instruction.code] ?? String(instruction.code));
      if (found.kind === 'rejects' && options.implemented?.(form, featureNames(instruction)) === false) {
        unimplemented.set(form, (unimplemented.get(form) ?? 0) + 1);
        continue;
      }
      if (options.exempt?.(form, found.kind) === true) continue;
      mismatchCount++;
      const key = `${found.kind} ${form}`;
      const times = kept.get(key) ?? 0;
      kept.set(key, times + 1);
      if (times < KEPT_PER_FORM) mismatches.push({ mode, bytes: bytes.slice(), form, ...found });
    }
    iced.free();
  }
  instruction.free();
  return { seed, tested: count, agreed, bothInvalid, mismatches, mismatchCount, unimplemented };
}

/** Names of the CPUID features an instruction needs, as iced-x86 has them: `INTEL386`, `SSE4_1`. */
function featureNames(instruction: Instruction): string[] {
  return [...instruction.cpuidFeatures()].map((feature) => CpuidFeature[feature] ?? String(feature));
}

/** One line: mode, bytes, form, what differs. */
export function describeMismatch({ mode, bytes, kind, form, text }: Mismatch): string {
  return `${mode}-bit ${Buffer.from(bytes).toString('hex')} ${form}: ${kind}: ${text}`;
}

function compareOne(ours: DecodedBytes, iced: Instruction): Pick<Mismatch, 'kind' | 'text'> | undefined {
  if (iced.isInvalid)
    return ours.invalid === true ? undefined : { kind: 'accepts', text: `${ours.length} bytes, invalid for iced-x86` };
  if (ours.invalid === true) return { kind: 'rejects', text: `${iced.length} bytes, ${Mnemonic[iced.mnemonic]} for iced-x86` };
  const differ = (kind: Mismatch['kind'], a: unknown, b: unknown) => ({ kind, text: `${show(a)}, iced-x86 ${show(b)}` });
  if (ours.length !== iced.length) return differ('length', ours.length, iced.length);
  const { registers, memory, immediates, branch } = ours;
  if (registers === undefined && memory === undefined && immediates === undefined && branch === undefined) return undefined;
  const theirs = encodedOperands(iced);
  if (registers !== undefined && registers.join() !== theirs.registers.join())
    return differ('registers', registers, theirs.registers);
  if (memory !== undefined && !sameMemory(memory, theirs.memory, iced.codeSize === CodeSize.Code64))
    return differ('memory', memory, theirs.memory);
  if (
    immediates !== undefined &&
    (immediates.length !== theirs.immediates.length ||
      immediates.some(
        (value, i) =>
          BigInt.asUintN(theirs.immediates[i]!.bits, value) !==
          BigInt.asUintN(theirs.immediates[i]!.bits, theirs.immediates[i]!.value),
      ))
  ) {
    return differ(
      'immediates',
      immediates,
      theirs.immediates.map(({ value }) => value),
    );
  }
  if (branch !== undefined) {
    const { bits, value } = theirs.branch ?? { bits: 64, value: undefined };
    if (value === undefined || BigInt.asIntN(bits, branch) !== BigInt.asIntN(bits, value)) return differ('branch', branch, value);
  }
  return undefined;
}

interface Sized {
  readonly bits: number;
  readonly value: bigint;
}
interface EncodedOperands {
  readonly registers: readonly string[];
  readonly memory: (DecodedMemory & { readonly bits: number }) | null;
  readonly immediates: readonly Sized[];
  readonly branch: Sized | undefined;
}

/** Those operands of an instruction that are spelt out in its bytes. */
function encodedOperands(instruction: Instruction): EncodedOperands {
  const encoded = encodedRegisters(instruction);
  const registers: string[] = [];
  const immediates: Sized[] = [];
  let memory: EncodedOperands['memory'] = null;
  let branch: Sized | undefined;
  const relative = (bits: number, target: bigint) => ({ bits, value: target - instruction.nextIP });
  for (let i = 0; i < instruction.opCount; i++) {
    switch (instruction.opKind(i)) {
      case OpKind.Register:
        if (encoded[i] === true) registers.push(registerName(instruction.opRegister(i)));
        break;
      case OpKind.Memory:
        memory = memoryOf(instruction);
        break;
      case OpKind.NearBranch16:
        branch = relative(16, BigInt(instruction.nearBranch16));
        break;
      case OpKind.NearBranch32:
        branch = relative(32, BigInt(instruction.nearBranch32));
        break;
      case OpKind.NearBranch64:
        branch = relative(64, instruction.nearBranch64);
        break;
      case OpKind.Immediate8:
        if (encoded[i] === true) immediates.push({ bits: 8, value: instruction.immediate(i) });
        break;
      case OpKind.Immediate8_2nd:
        immediates.push({ bits: 8, value: instruction.immediate(i) });
        break;
      case OpKind.Immediate16:
      case OpKind.Immediate8to16:
        immediates.push({ bits: 16, value: instruction.immediate(i) });
        break;
      case OpKind.Immediate32:
      case OpKind.Immediate8to32:
        immediates.push({ bits: 32, value: instruction.immediate(i) });
        break;
      case OpKind.Immediate64:
      case OpKind.Immediate8to64:
      case OpKind.Immediate32to64:
        immediates.push({ bits: 64, value: instruction.immediate(i) });
        break;
      default: // far pointers and the implied memory of string instructions
    }
  }
  return { registers, memory, immediates, branch };
}

const encodedCache = new Map<Code, readonly boolean[]>();

/** For each operand, whether its register or immediate is given by bits of the instruction rather than by the opcode. */
function encodedRegisters(instruction: Instruction): readonly boolean[] {
  const cached = encodedCache.get(instruction.code);
  if (cached !== undefined) return cached;
  const info = instruction.opCode;
  const encoded = Array.from({ length: info.opCount }, (_, i) =>
    /_reg|_rm|_opcode|_or_mem|_vvvv|_is|^imm8$/.test(OpCodeOperandKind[info.opKind(i)] ?? ''),
  );
  info.free();
  encodedCache.set(instruction.code, encoded);
  return encoded;
}

function memoryOf(instruction: Instruction): DecodedMemory & { readonly bits: number } {
  const base = nameOrNone(instruction.memoryBase);
  const index = nameOrNone(instruction.memoryIndex);
  const name = base ?? index;
  const bits =
    name === undefined ? instruction.memoryDisplSize * 8 : name === 'eip' || /^e|d$/.test(name) ? 32 : /^r/.test(name) ? 64 : 16;
  const relative = base === 'rip' || base === 'eip';
  return {
    base: relative ? 'rip' : base,
    index,
    scale: index === undefined ? 1 : instruction.memoryIndexScale,
    displacement: instruction.memoryDisplacement - (relative ? instruction.nextIP : 0n),
    segment: registerName(instruction.memorySegment),
    bits,
  };
}

function sameMemory(a: DecodedMemory | null, b: EncodedOperands['memory'], long: boolean): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.base === b.base &&
    a.index === b.index &&
    a.scale === b.scale &&
    baseOf(a.segment, long) === baseOf(b.segment, long) &&
    BigInt.asUintN(b.bits, a.displacement) === BigInt.asUintN(b.bits, b.displacement)
  );
}

/** In 64-bit mode ES, CS, SS and DS all have the base 0, and prefixes that name them say nothing. */
const baseOf = (segment: string, long: boolean): string => (long && segment !== 'fs' && segment !== 'gs' ? 'flat' : segment);

const registerName = (register: Register): string => (Register[register] ?? String(register)).toLowerCase();
const nameOrNone = (register: Register): string | undefined => (register === Register.None ? undefined : registerName(register));

function show(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'bigint' ? `0x${BigInt.asUintN(64, inner).toString(16)}` : inner,
    ) ?? 'none'
  );
}
