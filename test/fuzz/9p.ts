// One round against a share: a front-end that sends random, mutated and nonsensical messages over its rings, to a folder of the
// host that somebody else rearranges meanwhile, or to one in memory. A problem is anything but answers and refusals.
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XEN_9PFS_INTF as INTF } from '../../src/abi/xen/9pfs.ts';
import { data, type FieldType, qid, text, u8, u16, u32, u64 } from '../../src/backends/9pfs/protocol/fields.ts';
import { encode, HEADER_BYTES, P9, RLERROR } from '../../src/backends/9pfs/protocol/messages.ts';
import { shareDevice } from '../../src/backends/9pfs/share-device.ts';
import { BackendGuest } from '../../src/backends/fixtures/backend-guest.ts';
import { P9Frontend } from '../../src/backends/fixtures/p9-frontend.ts';
import { RamTree } from '../../src/backends/fixtures/ram-tree.ts';
import type { FileTree } from '../../src/io/file-tree.ts';
import { SharedFolder } from '../../src/node/shared-folder.ts';
import type { Random } from '../native/random.ts';

/** What only files outside of the shared folder hold. */
const SECRET = 'this is not for the guest';
const SECRET_BYTES = Buffer.from(SECRET);
const NAMES = ['a', 'b', 'dir', 'file', 'link', 'up', 'root', 'secret', 'd\xff', 'x'.repeat(255)];
const EVIL_NAMES = ['', '.', '..', '/', '../secret', 'a/b', '/etc/passwd', 'a\0b', '../../../../etc', 'x'.repeat(300)];
const TARGETS = ['file', '..', '../secret', '/', '/etc/passwd', '/proc/self/root', ''];
const FIDS = 8;
/** Milliseconds that an answer may take. */
const PATIENCE = 10_000;
const UNTOUCHED = 0xa5;

const EXCHANGES = Object.values(P9) as readonly {
  readonly type: number;
  readonly request: Readonly<Record<string, FieldType<unknown>>>;
}[];

interface Ground {
  readonly tree: FileTree;
  /** Somebody else's doing in the folder. */
  disturb(): void;
  /** What is wrong with it, when nothing uses it any more. */
  check(): string | undefined;
  remove(): Promise<void>;
}

export class P9Round {
  requests = 0;
  refusals = 0;
  readonly #random: Random;
  #guest = new BackendGuest();
  #front = new P9Frontend(this.#guest);
  /** By ring, the tags of whole requests that have no answer yet, with their types. */
  #asked: Map<number, number>[] = [new Map(), new Map()];
  /** Bytes on a ring may be no message: then nothing is known of what is answered. */
  #wild = false;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The problem that was found, if any. Throws for those of the backend's that are exceptions. */
  async run(steps: number, kind: 'folder' | 'memory'): Promise<string | undefined> {
    const ground = kind === 'folder' ? await folderGround() : memoryGround();
    try {
      const device = shareDevice({ tag: 'fuzz', tree: ground.tree });
      const before = this.#fillPages();
      device.attach(this.#guest.bus);
      await this.#connect();
      let problem: string | undefined;
      for (let i = 0; i < steps && problem === undefined; i++) {
        if (this.#random.below(10) === 0) ground.disturb();
        problem = await this.#step();
        if (problem !== undefined) problem = `step ${i}: ${problem}`;
      }
      problem ??= await this.#finish();
      await device.close();
      return problem ?? this.#checkPages(before) ?? ground.check();
    } finally {
      await ground.remove();
    }
  }

  async #step(): Promise<string | undefined> {
    const random = this.#random;
    const ring = random.below(2);
    const count = 1 + random.below(4);
    for (let i = 0; i < count; i++) {
      const how = random.below(40);
      if (how === 0) this.#nonsense(ring);
      else if (how === 1) this.#index(ring);
      else this.#send(ring, how < 12 ? this.#mutate(this.#message()) : this.#message());
    }
    this.#front.notify(ring);
    return this.#answers();
  }

  #send(ring: number, message: Uint8Array): void {
    if (message.length > this.#front.room(ring)) return;
    this.requests++;
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    if (message.length < HEADER_BYTES || view.getUint32(0, true) !== message.length) this.#wild = true;
    else {
      const tag = view.getUint16(5, true);
      // Two of a tag are the client's fault: which answer is whose cannot be told.
      if (this.#asked.some((asked) => asked.has(tag))) return;
      this.#asked[ring]?.set(tag, view.getUint8(4));
    }
    this.#front.put(message, ring);
  }

  #nonsense(ring: number): void {
    this.#wild = true;
    const size = Math.min(this.#front.room(ring), 1 + this.#random.below(100));
    this.#front.put(
      Uint8Array.from({ length: size }, () => this.#random.below(256)),
      ring,
    );
  }

  #index(ring: number): void {
    this.#wild = true;
    const index = this.#random.pick(Object.values(INTF));
    this.#front.setIndex(ring, index, this.#random.pick([0, 1, 0xffff_ffff, 4096, 4097, this.#random.below(0x1_0000_0000)]));
  }

  /** Waits until all is answered, or the backend has had enough. */
  async #answers(): Promise<string | undefined> {
    const deadline = performance.now() + PATIENCE;
    for (let idle = 0; ; ) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#guest.events.some(({ kind }) => kind === 'error')) return `a fault: ${this.#faults()}`;
      if (this.#front.backendState === 5) {
        if (!this.#wild) return `it is refused: ${this.#guest.own.read('error/device/9pfs/0/error')}`;
        this.refusals++;
        await this.#reconnect();
        return undefined;
      }
      if (this.#wild) {
        // It may be in the middle of a message for ever.
        if (idle++ < 5) continue;
        await this.#reconnect();
        return undefined;
      }
      for (const [ring, asked] of this.#asked.entries()) {
        const problem = this.#take(ring, asked);
        if (problem !== undefined) return problem;
      }
      if (this.#asked.every(({ size }) => size === 0)) return undefined;
      if (performance.now() > deadline) return `no answer to ${JSON.stringify(this.#asked.map((asked) => [...asked]))}`;
    }
  }

  #take(ring: number, asked: Map<number, number>): string | undefined {
    const answers = this.#front.take(ring);
    if (answers.length > 0) this.#front.notify(ring);
    for (const answer of answers) {
      const tag = (answer[5] as number) | ((answer[6] as number) << 8);
      const type = asked.get(tag);
      if (type === undefined) return `an answer to ${tag}, which was not asked`;
      if (answer[4] !== ((type + 1) & 255) && answer[4] !== RLERROR.type)
        return `request ${type} has an answer of type ${answer[4]}`;
      if (Buffer.from(answer).includes(SECRET_BYTES)) return `request ${type} is answered with what is outside of the folder`;
      asked.delete(tag);
    }
    return undefined;
  }

  async #connect(): Promise<void> {
    await this.#front.connect();
    if (this.#front.backendState !== 4) throw new Error(`the backend is in state ${this.#front.backendState}`);
  }

  async #reconnect(): Promise<void> {
    await this.#front.disconnect();
    this.#wild = false;
    for (const asked of this.#asked) asked.clear();
    this.#front.setState(1);
    await this.#connect();
  }

  async #finish(): Promise<string | undefined> {
    await this.#front.disconnect();
    await this.#guest.bus.close();
    this.#guest.release();
    return this.#guest.events.some(({ kind }) => kind === 'error') ? `a fault at the end: ${this.#faults()}` : undefined;
  }

  #faults(): string {
    return this.#guest.events.flatMap((event) => (event.kind === 'error' ? [String(event.error)] : [])).join('; ');
  }

  /** Pages that are never granted; nothing may write to them. */
  #fillPages(): readonly number[] {
    const pages = Array.from({ length: 8 }, () => this.#guest.allocPage());
    for (const page of pages) this.#guest.page(page).fill(UNTOUCHED);
    return pages;
  }

  #checkPages(pages: readonly number[]): string | undefined {
    const written = pages.find((page) => this.#guest.page(page).some((byte) => byte !== UNTOUCHED));
    return written === undefined ? undefined : `page ${written} was written to, and is not granted`;
  }

  /** A request whose fields are mostly sensible. */
  #message(): Uint8Array {
    const random = this.#random;
    const { type, request } =
      random.below(6) === 0 ? random.pick([P9.attach, P9.walk, P9.lopen, P9.readdir]) : random.pick(EXCHANGES);
    const fields: Record<string, FieldType<unknown>> = { ...request };
    const values = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, this.#value(name, field)]));
    return encode(
      type === P9.version.type && random.below(8) > 0 ? P9.statfs.type : type,
      random.below(0x1_0000),
      fields,
      values,
    );
  }

  #value(name: string, type: FieldType<unknown>): unknown {
    const random = this.#random;
    const any = random.below(20) === 0;
    switch (type) {
      case u8:
        return random.below(any ? 256 : 3);
      case u16:
        return random.below(0x1_0000);
      case u32:
        if (any) return random.pick([0, 1, 0x7fff_ffff, 0xffff_ffff, random.below(0x1_0000_0000)]);
        if (name === 'afid') return 0xffff_ffff;
        if (/fid$/.test(name)) return random.below(FIDS);
        if (name === 'flags') return random.pick([0, 1, 2, 0o1002, 0o2001, 0o200000, 0x200]);
        if (name === 'count') return random.pick([0, 16, 100, 4096, 1 << 20]);
        if (name === 'mode') return random.pick([0o644, 0o755, 0o4777, 0, 0o60600, 0o100600]);
        if (name === 'msize') return random.pick([4096, 8192, 100]);
        if (name === 'valid') return random.below(0x200);
        return random.below(3);
      case u64:
        return any ? (BigInt(random.below(0x1_0000_0000)) << 32n) | 0xffff_ffffn : BigInt(random.pick([0, 1, 2, 3, 100, 5000]));
      case text:
        if (name === 'version') return random.pick(['9P2000.L', '9P2000', 'x']);
        if (name === 'target') return random.pick(TARGETS);
        if (name === 'aname' || name === 'uname') return random.below(9) === 0 ? random.pick(EVIL_NAMES) : '';
        return random.pick(random.below(5) === 0 ? EVIL_NAMES : NAMES);
      case data:
        return Uint8Array.from({ length: random.below(200) }, () => random.below(256));
      case qid:
        return { type: 0, version: 0, path: 0n };
      default:
        return Array.from({ length: random.below(any ? 20 : 4) }, () => random.pick(random.below(4) === 0 ? EVIL_NAMES : NAMES));
    }
  }

  /** The size stays right, so that what follows is a message again; #nonsense is for the rest. */
  #mutate(message: Uint8Array): Uint8Array {
    const random = this.#random;
    let bytes = message.slice();
    if (random.below(3) === 0) bytes = bytes.subarray(0, HEADER_BYTES + random.below(bytes.length - HEADER_BYTES + 1));
    if (random.below(3) === 0) {
      const more = new Uint8Array(bytes.length + 1 + random.below(30));
      more.set(bytes);
      bytes = more;
    }
    for (let flips = random.below(6); flips > 0 && bytes.length > 4; flips--) {
      const at = 4 + random.below(bytes.length - 4);
      bytes[at] = random.below(3) === 0 ? random.pick([0, 0xff, 0x7f, 0x80]) : random.below(256);
    }
    new DataView(bytes.buffer, bytes.byteOffset, bytes.length).setUint32(0, bytes.length, true);
    return bytes;
  }
}

function memoryGround(): Ground {
  const tree = new RamTree();
  return {
    tree,
    disturb: () => {},
    check: () =>
      tree.references === 0 && tree.open === 0 ? undefined : `${tree.references} references and ${tree.open} files are left`,
    remove: async () => {},
  };
}

async function folderGround(): Promise<Ground> {
  const outside = mkdtempSync(join(tmpdir(), 'dom1-9p-fuzz-'));
  const folder = join(outside, 'folder');
  for (const path of [folder, join(folder, 'dir'), join(outside, 'other')]) mkdirSync(path);
  for (const path of ['secret', 'other/secret', 'other/file', 'other/a']) writeFileSync(join(outside, path), SECRET);
  writeFileSync(join(folder, 'file'), 'for the guest');
  writeFileSync(join(folder, 'dir', 'file'), 'for the guest');
  symlinkSync(join(outside, 'secret'), join(folder, 'link'));
  symlinkSync('../other', join(folder, 'up'));
  symlinkSync('/', join(folder, 'root'));
  const tree = await SharedFolder.open(folder, { maxHandles: 3, maxOpenFiles: 6 });
  const snapshot = (): string => describe(outside, 'folder');
  const before = snapshot();
  let swapped = false;
  return {
    tree,
    disturb: () => {
      try {
        if (swapped) {
          rmSync(join(folder, 'dir'), { recursive: true, force: true });
          renameSync(join(outside, 'folder', 'away'), join(folder, 'dir'));
        } else {
          renameSync(join(folder, 'dir'), join(folder, 'away'));
          symlinkSync('../other', join(folder, 'dir'));
        }
        swapped = !swapped;
      } catch {
        // The guest has moved or removed it.
        swapped = false;
      }
    },
    check: () => {
      if (tree.openFiles !== 0) return `${tree.openFiles} files are left open`;
      const after = snapshot();
      return after === before ? undefined : `outside of the folder something has changed:\n${before}\nis now\n${after}`;
    },
    remove: async () => {
      openUp(Buffer.from(outside));
      rmSync(outside, { recursive: true, force: true });
    },
  };
}

/** Directories that the guest has closed to us can be removed by who is not root. */
function openUp(directory: Buffer): void {
  chmodSync(directory, 0o700);
  for (const entry of readdirSync(directory, { withFileTypes: true, encoding: 'buffer' }))
    if (entry.isDirectory()) openUp(Buffer.concat([directory, Buffer.from('/'), entry.name]));
}

/** Everything but the shared folder: names, contents, permissions, owners, times of change. */
function describe(path: string, except: string): string {
  return readdirSync(path)
    .sort()
    .filter((name) => name !== except)
    .map((name) => {
      const file = join(path, name);
      const { mode, uid, gid, size, mtimeMs, ctimeMs, ino } = statSync(file);
      const contents = (mode & 0o170000) === 0o040000 ? `\n${describe(file, '')}` : readFileSync(file, 'utf8');
      return [file, mode.toString(8), uid, gid, size, mtimeMs, ctimeMs, ino, contents].join(' ');
    })
    .join('\n');
}
