// A disk as xl-disk-configuration(5) writes it: positions, names and flags in one string, and xend's prefixes.
import { vdevNumber as numberOf } from '../../backends/block/vdev.ts';
import { closest } from '../../util/closest.ts';
import { type ConfigPosition, XlConfigError } from './config-error.ts';
import { within } from './device-words.ts';
import type { PlacedString } from './setting-reader.ts';

export const DISK_FORMATS = ['raw', 'qcow', 'qcow2', 'vhd', 'qed'] as const;
export type DiskFormat = (typeof DISK_FORMATS)[number];

export interface DiskSpec {
  /** A path or an http(s) address as it is written; undefined for a drive without a medium. */
  readonly target?: string;
  readonly format: DiskFormat | 'empty';
  /** Such as xvda, and the number that the guest knows it by. */
  readonly vdev: string;
  readonly vdevNumber: number;
  readonly readonly: boolean;
  readonly cdrom: boolean;
  /** Whether the guest is offered discard. */
  readonly discard: boolean;
  /** Whether the frontend should trust the backend. */
  readonly trusted: boolean;
  readonly directIoSafe: boolean;
  readonly backend?: string;
  readonly backendtype?: string;
  readonly script?: string;
  readonly specification?: string;
  readonly position: ConfigPosition;
}

/** Named parameters with a value, but for target, which takes the rest of the string. */
const NAMED = [
  'format',
  'vdev',
  'access',
  'devtype',
  'backend',
  'backendtype',
  'script',
  'specification',
  'grant_usage',
  'colo-host',
  'colo-port',
  'colo-export',
  'active-disk',
  'hidden-disk',
];
/** What each flag sets. */
const FLAGS: Readonly<Record<string, readonly [name: string, value: string]>> = {
  cdrom: ['devtype', 'cdrom'],
  'direct-io-safe': ['direct-io-safe', '1'],
  discard: ['discard', '1'],
  'no-discard': ['discard', '0'],
  trusted: ['trusted', '1'],
  untrusted: ['trusted', '0'],
  colo: ['colo', '1'],
  'no-colo': ['colo', '0'],
};
/** What may stand where only some values may. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  format: [...DISK_FORMATS, ''],
  access: ['ro', 'r', 'rw', 'w', ''],
  devtype: ['cdrom', 'disk'],
  backendtype: ['phy', 'tap', 'qdisk', 'standalone'],
  specification: ['xen', 'virtio'],
  grant_usage: ['0', '1'],
};
const PREFIX_FORMATS = /^(raw|qcow2?|vhd):/;
const PREFIX_SCRIPTS = /^(iscsi|e?nbd|drbd):/;
const PREFIX_IGNORED = /^(tapdisk|tap2?|aio|ioemu|file|phy):/;

/**
 * @param more what follows in strings of its own, as on the command line: `target=` takes the rest of its string only
 * @throws XlConfigError
 */
export function parseDiskSpec(spec: PlacedString, more: readonly PlacedString[] = []): DiskSpec {
  return new DiskParser(spec).parse(more);
}

class DiskParser {
  #spec: PlacedString;
  readonly #values = new Map<string, string>();
  #at = 0;
  #positions = 0;
  #formatPrefix = false;

  constructor(spec: PlacedString) {
    this.#spec = spec;
  }

  parse(more: readonly PlacedString[]): DiskSpec {
    const first = this.#spec;
    for (const spec of [first, ...more]) {
      this.#spec = spec;
      this.#at = 0;
      this.#read(spec.text);
    }
    this.#spec = first;
    return this.#result();
  }

  #read(text: string): void {
    while (this.#at < text.length) {
      this.#at += text.slice(this.#at).length - text.slice(this.#at).trimStart().length;
      const rest = text.slice(this.#at);
      if (rest === '') break;
      if (rest.startsWith('target=')) {
        this.#set('target', rest.slice('target='.length));
        break;
      }
      if (this.#prefix(rest)) continue;
      const comma = rest.indexOf(',');
      this.#word(comma < 0 ? rest : rest.slice(0, comma));
      this.#at += comma < 0 ? rest.length : comma + 1;
    }
  }

  /** xend's prefixes of the target. */
  #prefix(rest: string): boolean {
    if (this.#values.has('target')) return false;
    const format = PREFIX_FORMATS.exec(rest)?.[1];
    const script = PREFIX_SCRIPTS.exec(rest)?.[1];
    const [whole] = /^[a-z][a-z0-9]*:/.exec(rest) ?? [];
    if (whole === undefined || /^https?:\/\//.test(rest)) return false;
    if (format !== undefined) this.#set('format', format);
    else if (script !== undefined) this.#set('script', `block-${script}`);
    else if (!PREFIX_IGNORED.test(rest))
      throw this.#fail(`there is no prefix '${whole}'`, 'leave it out, or write target=… for a path with a colon');
    this.#formatPrefix = true;
    this.#at += whole.length;
    return true;
  }

  #word(word: string): void {
    const equals = word.indexOf('=');
    const flag = Object.hasOwn(FLAGS, word.trimEnd()) ? FLAGS[word.trimEnd()] : undefined;
    if (flag !== undefined) return this.#set(...flag);
    if (equals < 0) return this.#positional(word);
    const name = word.slice(0, equals);
    if (!NAMED.includes(name)) {
      const near = closest(name, [...NAMED, 'target', ...Object.keys(FLAGS)]);
      throw this.#fail(
        `there is no '${name}'`,
        near === undefined ? 'write target=… for a path with an equals sign' : `did you mean ${near}?`,
      );
    }
    this.#set(name, word.slice(equals + 1));
  }

  /** Goes to the first of target, format, vdev and access that is not there yet. */
  #positional(word: string): void {
    const free = (name: string, position: number): boolean => this.#positions <= position && !this.#values.has(name);
    if (free('target', 0)) {
      this.#positions = 1;
      this.#set('target', word);
    } else if (!this.#formatPrefix && free('format', 1)) {
      this.#positions = 2;
      // An empty drive, as xend had it: ",hdc:cdrom,r".
      if (this.#values.get('target') === '' && this.#vdevAndType(word)) this.#positions = 3;
      else this.#set('format', word);
    } else if (free('vdev', 2)) {
      this.#positions = 3;
      if (!this.#vdevAndType(word)) this.#set('vdev', word);
    } else if (this.#positions <= 3) {
      this.#positions = 4;
      this.#set('access', word);
    } else
      throw this.#fail(
        `'${word}' is one too many`,
        'there are target, format, vdev and access; write target=… for a path with a comma',
      );
  }

  /** vdev:cdrom, vdev:disk */
  #vdevAndType(word: string): boolean {
    const colon = word.lastIndexOf(':');
    if (colon < 0) return false;
    this.#set('vdev', word.slice(0, colon));
    this.#set('devtype', word.slice(colon + 1));
    return true;
  }

  #set(name: string, value: string): void {
    const allowed = VALUES[name];
    if (allowed !== undefined && !allowed.includes(value)) {
      const known = allowed.filter((one) => one !== '');
      const near = closest(value, known);
      throw this.#fail(`'${value}' is no ${name}`, near === undefined ? `use ${known.join(', ')}` : `did you mean ${near}?`);
    }
    const before = this.#values.get(name);
    const same = before === value || (name === 'devtype' && before !== undefined);
    if (before !== undefined && before !== '' && !same)
      throw this.#fail(`${name} is given twice, as '${before}' and as '${value}'`, 'give it once');
    this.#values.set(name, value);
  }

  #fail(problem: string, hint: string): XlConfigError {
    return new XlConfigError(within(this.#spec, this.#at), `disk '${this.#spec.text}': ${problem}`, hint);
  }

  #result(): DiskSpec {
    const value = (name: string): string | undefined => this.#values.get(name) || undefined;
    const [target, vdev, script, access] = [value('target'), value('vdev'), value('script'), value('access')];
    const cdrom = value('devtype') === 'cdrom';
    this.#at = 0;
    if (vdev === undefined) throw this.#fail('it has no vdev', 'say what the guest sees it as, such as vdev=xvda');
    const vdevNumber = numberOf(vdev);
    if (vdevNumber === undefined) throw this.#fail(`there is no vdev '${vdev}'`, 'use xvda, xvdb1, hdc, sda and the like');
    if (target === undefined && !cdrom) throw this.#fail('it has no target', 'give the path of a file, such as target=disk.img');
    const optional = Object.fromEntries(
      ['backend', 'backendtype', 'specification'].flatMap((name) => (value(name) === undefined ? [] : [[name, value(name)]])),
    ) as Pick<DiskSpec, 'backend' | 'backendtype' | 'specification'>;
    return {
      ...(target !== undefined && { target }),
      format: target === undefined ? 'empty' : ((value('format') ?? 'raw') as DiskFormat),
      vdev,
      vdevNumber,
      readonly: cdrom || access === 'r' || access === 'ro',
      cdrom,
      discard: value('discard') !== '0',
      trusted: value('trusted') !== '0',
      directIoSafe: value('direct-io-safe') === '1',
      ...optional,
      ...(script !== undefined && { script }),
      position: this.#spec.position,
    };
  }
}
