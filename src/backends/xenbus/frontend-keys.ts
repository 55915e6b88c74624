// The nodes that a frontend wrote, read as what they should be. The guest may have written anything, or change it meanwhile:
// read each key once, and use what was read.
import { EINVAL } from '../../abi/xen/errno.ts';
import type { StoreView } from '../../xen/store/store-view.ts';
import { Refusal } from './refusal.ts';

export interface NumberLimits {
  /** Default 0. */
  readonly min?: number;
  /** Default 2^32 - 1. */
  readonly max?: number;
  /** What a missing node stands for; without it a missing node is a refusal. */
  readonly fallback?: number;
}

export class FrontendKeys {
  readonly path: string;
  readonly #view: StoreView;

  constructor(view: StoreView, path: string) {
    this.#view = view;
    this.path = path;
  }

  /** The node's value; undefined when there is none. */
  text(key: string): string | undefined {
    return this.#view.read(`${this.path}/${key}`);
  }

  /** A decimal number within limits. */
  number(key: string, limits: NumberLimits = {}): number | Refusal {
    const { min = 0, max = 0xffff_ffff, fallback } = limits;
    const text = this.text(key);
    if (text === undefined && fallback !== undefined) return fallback;
    if (text === undefined) return new Refusal(EINVAL, `reading ${this.path}/${key}`);
    const value = /^\s*\d{1,10}\s*$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    return new Refusal(EINVAL, `${this.path}/${key} is ${JSON.stringify(text.slice(0, 32))}, not ${min} to ${max}`);
  }

  /** A feature: a number other than 0. What is no number, or missing, is false. */
  flag(key: string): boolean {
    const value = this.number(key, { fallback: 0 });
    return typeof value === 'number' && value !== 0;
  }

  /** The nodes below one of these, such as `queue-0`. */
  below(key: string): FrontendKeys {
    return new FrontendKeys(this.#view, `${this.path}/${key}`);
  }
}
