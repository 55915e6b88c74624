// What is wrong with an image, and what to do about it.
import { ImageError } from '../image-error.ts';

/** Its structures contradict themselves. */
export const badImage = (name: string, why: string, hint = 'restore it from a backup, or fetch it again'): ImageError =>
  new ImageError('corrupt', `${name} is corrupt: ${why}`, hint);

/** A reference within it cannot be right: `dom1 image check` says more. */
export const badReference = (name: string, why: string): ImageError => badImage(name, why, 'see `dom1 image check`');

/** It is sound as far as we know, but needs what we do not have. */
export const refused = (name: string, why: string, hint: string): ImageError =>
  new ImageError('unsupported', `${name} ${why}`, hint);
