// What Xen means by an error of a hypercall: more than the words of errno.h say.
import type * as ERRNO from '../abi/xen/errno.ts';

const MEANINGS: Readonly<Record<keyof typeof ERRNO, string>> = {
  EPERM: 'the domain may not do that',
  ENOENT: 'there is no such thing',
  ESRCH: 'there is no such domain',
  EIO: 'the device or the hardware failed',
  ENXIO: 'there is no such device or address',
  E2BIG: 'more was asked for than one call may do',
  ENOMEM: 'there is not enough memory, or the domain has all that it may have',
  EACCES: 'the domain has no access to it',
  EFAULT: 'a pointer in the arguments points to no memory of the guest',
  EBUSY: 'somebody uses it',
  EEXIST: 'it is there already',
  EXDEV: 'the frames belong to different things',
  ENODEV: 'there is no such device',
  EINVAL: 'an argument will not do',
  ENOSPC: 'there is no room left: a table is full',
  EDOM: 'the number is outside the range',
  ERANGE: 'the number is out of range',
  ENOSYS: 'there is no such call or operation',
  EOVERFLOW: 'the value is larger than the field that it goes to',
  EILSEQ: 'the bytes are in no order that makes sense',
  EOPNOTSUPP: 'it exists, and is not offered to this domain',
  ENOBUFS: 'the buffer is too small for the answer',
};

export const errnoMeaning = (name: string): string => MEANINGS[name as keyof typeof ERRNO] ?? 'see public/errno.h';
