// Gathers, which a helper does. SDM vol. 2, VGATHERDPD, VPGATHERDD.
import { avx } from './avx-access.ts';

const gather = (indices: 'd' | 'q') => avx(`vgather${indices}`, 'rw,a,rw,r', (e) => e.helper('gather'), { by: 'asize' });
export const vgatherd = gather('d');
export const vgatherq = gather('q');
