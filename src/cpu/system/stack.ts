// Pushes and pops on a stack, the current one or one about to become current, with the checks of its segment.

import { GPR } from '../../vcpu/contract.ts';
import { type Cpu, GuestFault, type LinearMemory } from '../cpu.ts';
import { ATTR, CODE_MODE, SEGMENT, STATE, VECTOR } from '../state.ts';
import type { Descriptor } from './descriptors.ts';
import { isCanonical } from './system-state.ts';

const WIDE = 0xffff_ffff_ffff_ffffn;

interface StackParts {
  readonly pointer: bigint;
  readonly mask: bigint;
  readonly base: bigint;
  readonly limit: number;
  readonly attributes: number;
  /** Access with CPL 0 rights whatever the current CPL. */
  readonly supervisor: boolean;
  /** Error code of the #SS when an access falls outside. */
  readonly errorCode: number;
}

export class Stack {
  readonly #cpu: Cpu;
  readonly #mem: LinearMemory;
  readonly #parts: StackParts;
  /** The stack pointer after the pushes and pops so far. */
  pointer: bigint;

  constructor(cpu: Cpu, mem: LinearMemory, parts: StackParts) {
    this.#cpu = cpu;
    this.#mem = mem;
    this.#parts = parts;
    this.pointer = parts.pointer & parts.mask;
  }

  /** SS:RSP as they are, at the current privilege. */
  static current(cpu: Cpu, mem: LinearMemory): Stack {
    return new Stack(cpu, mem, {
      pointer: cpu.gpr(GPR.rsp),
      mask: cpu.get64(STATE.stackMask),
      base: cpu.segBase(SEGMENT.ss),
      limit: cpu.limit(SEGMENT.ss),
      attributes: cpu.attributes(SEGMENT.ss),
      supervisor: false,
      errorCode: 0,
    });
  }

  /** SS:RSP as code of another width at the same privilege finds it. */
  static for(cpu: Cpu, mem: LinearMemory, wide: boolean): Stack {
    const attributes = cpu.attributes(SEGMENT.ss);
    return new Stack(cpu, mem, {
      pointer: cpu.gpr(GPR.rsp),
      mask: stackMaskFor(wide, attributes),
      base: cpu.segBase(SEGMENT.ss),
      limit: cpu.limit(SEGMENT.ss),
      attributes,
      supervisor: false,
      errorCode: 0,
    });
  }

  /** The flat stack of 64-bit code at `pointer`. */
  static wide(cpu: Cpu, mem: LinearMemory, pointer: bigint, supervisor: boolean): Stack {
    return new Stack(cpu, mem, { pointer, mask: WIDE, base: 0n, limit: 0, attributes: 0, supervisor, errorCode: 0 });
  }

  /** An inner stack whose segment is not loaded yet; faults carry its selector. */
  static of(cpu: Cpu, mem: LinearMemory, segment: Descriptor, pointer: bigint): Stack {
    const { base, limit, attributes, selector } = segment;
    const mask = segment.isBig ? 0xffff_ffffn : 0xffffn;
    return new Stack(cpu, mem, { pointer, mask, base, limit, attributes, supervisor: true, errorCode: selector & 0xfffc });
  }

  push(size: number, value: bigint): void {
    const pointer = (this.pointer - BigInt(size)) & this.#parts.mask;
    this.#mem.write(this.#address(pointer, size), size, BigInt.asUintN(size * 8, value), this.#parts.supervisor);
    this.pointer = pointer;
  }

  pop(size: number): bigint {
    const value = this.#mem.read(this.#address(this.pointer, size), size, this.#parts.supervisor);
    this.pointer = (this.pointer + BigInt(size)) & this.#parts.mask;
    return value;
  }

  /** Reads `size` bytes at `offset` above the pointer without moving it. */
  peek(offset: number, size: number): bigint {
    return this.#mem.read(this.#address((this.pointer + BigInt(offset)) & this.#parts.mask, size), size, this.#parts.supervisor);
  }

  /** Moves the pointer up over `bytes`. */
  skip(bytes: number): void {
    this.pointer = (this.pointer + BigInt(bytes)) & this.#parts.mask;
  }

  /** Makes the pointer the architectural one. A 16-bit stack leaves the upper bits of ESP as they are. */
  commit(): void {
    setStackPointer(this.#cpu, this.pointer, this.#parts.mask);
  }

  #address(pointer: bigint, size: number): bigint {
    const { mask, base, limit, attributes, errorCode } = this.#parts;
    if (mask === WIDE) {
      if (!isCanonical(pointer) || !isCanonical(pointer + BigInt(size - 1))) throw new GuestFault(VECTOR.ss, errorCode);
      return pointer;
    }
    const offset = Number(pointer);
    const last = offset + size - 1;
    const expandDown = (attributes & (ATTR.code | ATTR.dc)) === ATTR.dc;
    const top = attributes & ATTR.db ? 0xffff_ffff : 0xffff;
    const outside = expandDown
      ? offset <= limit || last > top
      : last > limit && !(limit === 0xffff_ffff && mask === 0xffff_ffffn);
    if (outside || (attributes & ATTR.present) === 0) throw new GuestFault(VECTOR.ss, errorCode);
    return (base + pointer) & 0xffff_ffffn;
  }
}

/** Writes RSP, ESP or SP as the mask of the stack says. */
export function setStackPointer(cpu: Cpu, pointer: bigint, mask: bigint): void {
  if (mask === 0xffffn) cpu.setGpr(GPR.rsp, (cpu.gpr(GPR.rsp) & ~0xffffn) | (pointer & mask));
  else cpu.setGpr(GPR.rsp, pointer & mask);
}

/** The mask of the stack pointer in a mode about to be entered. */
export const stackMaskFor = (wide: boolean, attributes: number): bigint =>
  wide ? WIDE : attributes & ATTR.db ? 0xffff_ffffn : 0xffffn;

/** True in 64-bit mode proper, not in compatibility mode. */
export const is64Bit = (cpu: Cpu): boolean => cpu.get32(STATE.codeMode) === CODE_MODE.code64;
