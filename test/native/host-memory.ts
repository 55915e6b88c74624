// What the oracle needs of the host: memory shared with another process, and futexes. Through koffi, which is optional.
import { createRequire } from 'node:module';

type Koffi = typeof import('koffi');

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const SYS_FUTEX = 202;
const FUTEX = { wait: 0, wake: 1 } as const;
const AT_HWCAP2 = 26;
/** AT_HWCAP2 bit: WRFSBASE and its kin are enabled for user mode. */
const HWCAP2_FSGSBASE = 2;

/** A shared file without a name, mapped here. */
export interface SharedMemory {
  readonly descriptor: number;
  readonly buffer: ArrayBuffer;
  /** Sleeps while the word at `offset` is `value`; at most `milliseconds`. Spurious returns happen. */
  wait(offset: number, value: number, milliseconds: number): void;
  wake(offset: number): void;
  /** Closes the descriptor. The memory stays mapped, as views of it may still be in use. */
  closeDescriptor(): void;
}

export class HostMemory {
  readonly #koffi: Koffi;
  readonly #libc: ReturnType<Koffi['load']>;

  /** Throws when koffi is not installed or has no build for this host. */
  constructor() {
    this.#koffi = createRequire(import.meta.url)('koffi') as Koffi;
    this.#libc = this.#koffi.load(null);
  }

  get fsgsbase(): boolean {
    const getauxval = this.#libc.func('ulong getauxval(ulong type)');
    return (Number(getauxval(AT_HWCAP2)) & HWCAP2_FSGSBASE) !== 0;
  }

  /** `size` in bytes. Throws an error that says what was refused. */
  share(size: number): SharedMemory {
    const libc = this.#libc;
    const memfd_create = libc.func('int memfd_create(str name, uint flags)');
    const ftruncate = libc.func('int ftruncate(int fd, int64 length)');
    const mmap = libc.func('void *mmap(intptr address, size_t length, int protection, int flags, int fd, int64 offset)');
    const close = libc.func('int close(int fd)');
    const futex = libc.func('syscall', 'long', ['long', 'void *', 'int', 'uint32', 'void *', 'void *', 'uint32']);

    const descriptor = memfd_create('dom1-native', 0) as number;
    if (descriptor < 0) throw new Error(`memfd_create: errno ${this.#koffi.errno()}`);
    if (ftruncate(descriptor, size) !== 0) throw new Error(`ftruncate: errno ${this.#koffi.errno()}`);
    const pointer: unknown = mmap(0, size, PROT_READ_WRITE, MAP_SHARED, descriptor, 0);
    const address = this.#koffi.address(pointer);
    if (address === 0xffff_ffff_ffff_ffffn) throw new Error(`mmap: errno ${this.#koffi.errno()}`);
    const timespec = new BigInt64Array(2);
    return {
      descriptor,
      buffer: this.#koffi.view(pointer, size),
      wait(offset, value, milliseconds) {
        timespec[1] = BigInt(milliseconds * 1e6);
        futex(SYS_FUTEX, address + BigInt(offset), FUTEX.wait, value, timespec, null, 0);
      },
      wake(offset) {
        futex(SYS_FUTEX, address + BigInt(offset), FUTEX.wake, 1, null, null, 0);
      },
      closeDescriptor: () => void close(descriptor),
    };
  }
}
