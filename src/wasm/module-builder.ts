// A WebAssembly module: types, imports, functions, one table of functions, exports. Core specification 2.0, section 5.5.
import { ByteWriter } from './byte-writer.ts';
import { type BranchHint, FunctionBuilder, type FunctionRef } from './function-builder.ts';
import { TYPE_CODE, type ValueType } from './opcodes.ts';

interface Import {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

export class ModuleBuilder {
  readonly #types: string[] = [];
  readonly #imports: Import[] = [];
  readonly #functions: {
    type: number;
    body: Uint8Array | undefined;
    hints: readonly BranchHint[];
    params: readonly ValueType[];
    results: readonly ValueType[];
  }[] = [];
  readonly #exports: { name: string; index: number }[] = [];
  #memory: { minimum: number; maximum: number } | undefined;
  #table: readonly FunctionRef[] | undefined;
  #tableName: string | undefined;
  #emptyTable: { readonly name: string; readonly minimum: number } | undefined;

  /** The module imports the shared memory as `env.memory`; sizes in 64 KiB pages. */
  importMemory(minimum: number, maximum: number): void {
    this.#memory = { minimum, maximum };
  }

  /** All imports come before the first `declare`. */
  importFunction(name: string, params: readonly ValueType[], results: readonly ValueType[]): FunctionRef {
    if (this.#functions.length > 0) throw new Error('imports come before functions');
    this.#imports.push({ module: 'env', name, type: this.type(params, results) });
    return { index: this.#imports.length - 1, results };
  }

  /** Reserves a function index so that bodies can call each other before they are defined. */
  declare(params: readonly ValueType[], results: readonly ValueType[]): FunctionRef {
    const index = this.#imports.length + this.#functions.length;
    this.#functions.push({ type: this.type(params, results), body: undefined, hints: [], params, results });
    return { index, results };
  }

  define(ref: FunctionRef, build: (f: FunctionBuilder) => void): void {
    const entry = this.#functions[ref.index - this.#imports.length];
    if (entry === undefined) throw new RangeError('an imported function has no body');
    const f = new FunctionBuilder(entry.params, entry.results);
    f.scope(() => build(f));
    Object.assign(entry, f.finish());
  }

  /** Declares and defines at once. */
  add(params: readonly ValueType[], results: readonly ValueType[], build: (f: FunctionBuilder) => void): FunctionRef {
    const ref = this.declare(params, results);
    this.define(ref, build);
    return ref;
  }

  export(name: string, ref: FunctionRef): void {
    this.#exports.push({ name, index: ref.index });
  }

  /** The functions `call_indirect` can reach, by position; with a name the table is exported. */
  table(functions: readonly FunctionRef[], name?: string): void {
    this.#table = functions;
    this.#tableName = name;
  }

  /** A second table, exported, without functions to begin with: for those of other modules. `callIndirect` reaches it as table 1. */
  emptyTable(name: string, minimum: number): void {
    this.#emptyTable = { name, minimum };
  }

  /** Index of a function type, added if new. */
  type(params: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${params.join()}>${results.join()}`;
    const at = this.#types.indexOf(key);
    return at >= 0 ? at : this.#types.push(key) - 1;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter(1 << 16);
    out.bytes(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    section(out, 1, (s) => {
      s.uleb(this.#types.length);
      for (const key of this.#types) {
        s.u8(0x60);
        for (const side of key.split('>')) {
          const types = side === '' ? [] : (side.split(',') as ValueType[]);
          s.uleb(types.length);
          for (const type of types) s.u8(TYPE_CODE[type]);
        }
      }
    });
    section(out, 2, (s) => {
      s.uleb(this.#imports.length + (this.#memory === undefined ? 0 : 1));
      for (const { module, name, type } of this.#imports) {
        s.name(module);
        s.name(name);
        s.u8(0);
        s.uleb(type);
      }
      if (this.#memory !== undefined) {
        s.name('env');
        s.name('memory');
        s.u8(2);
        s.u8(3);
        s.uleb(this.#memory.minimum);
        s.uleb(this.#memory.maximum);
      }
    });
    section(out, 3, (s) => {
      s.uleb(this.#functions.length);
      for (const { type } of this.#functions) s.uleb(type);
    });
    const table = this.#table;
    const empty = this.#emptyTable;
    if (table !== undefined)
      section(out, 4, (s) => {
        s.uleb(empty === undefined ? 1 : 2);
        s.u8(0x70);
        s.u8(1);
        s.uleb(table.length);
        s.uleb(table.length);
        if (empty === undefined) return;
        s.u8(0x70);
        s.u8(0);
        s.uleb(empty.minimum);
      });
    section(out, 7, (s) => {
      const tables = [
        { name: this.#tableName, index: 0 },
        { name: empty?.name, index: 1 },
      ];
      s.uleb(this.#exports.length + tables.filter(({ name }) => name !== undefined).length);
      for (const { name, index } of tables) {
        if (name === undefined) continue;
        s.name(name);
        s.u8(1);
        s.uleb(index);
      }
      for (const { name, index } of this.#exports) {
        s.name(name);
        s.u8(0);
        s.uleb(index);
      }
    });
    if (table !== undefined)
      section(out, 9, (s) => {
        s.uleb(1);
        s.uleb(0);
        s.u8(0x41);
        s.u8(0);
        s.u8(0x0b);
        s.uleb(table.length);
        for (const { index } of table) s.uleb(index);
      });
    this.#branchHints(out);
    section(out, 10, (s) => {
      s.uleb(this.#functions.length);
      this.#functions.forEach(({ body }, i) => {
        if (body === undefined) throw new Error(`function ${i} was declared but never defined`);
        s.uleb(body.length);
        s.bytes(body);
      });
    });
    return out.toUint8Array();
  }

  /** The custom section of the proposal "branch hinting", which stands before the code. */
  #branchHints(out: ByteWriter): void {
    const hinted = this.#functions.flatMap(({ hints }, i) =>
      hints.length === 0 ? [] : [{ index: this.#imports.length + i, hints }],
    );
    if (hinted.length === 0) return;
    section(out, 0, (s) => {
      s.name('metadata.code.branch_hint');
      s.uleb(hinted.length);
      for (const { index, hints } of hinted) {
        s.uleb(index);
        s.uleb(hints.length);
        for (const { at, taken } of hints) {
          s.uleb(at);
          s.uleb(1);
          s.u8(taken ? 1 : 0);
        }
      }
    });
  }
}

function section(out: ByteWriter, id: number, fill: (s: ByteWriter) => void): void {
  const s = new ByteWriter(1024);
  fill(s);
  out.u8(id);
  out.uleb(s.length);
  out.bytes(s.toUint8Array());
}
