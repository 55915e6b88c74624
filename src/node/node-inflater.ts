// Decompression by Node's zlib.
import { inflateRaw as inflate } from 'node:zlib';
import type { Inflater } from '../image/qcow2/compressed-clusters.ts';

export const nodeInflater: Inflater = {
  inflateRaw: (packed, size) =>
    new Promise((resolve, reject) => {
      inflate(packed, { maxOutputLength: size, chunkSize: Math.max(64, size) }, (error, out) => {
        if (error !== null) reject(error);
        else if (out.length !== size) reject(new Error(`${out.length} bytes instead of ${size}`));
        else resolve(out);
      });
    }),
};
