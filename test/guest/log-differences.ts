import type { Difference } from './compare-logs.ts';
export const LOG_DIFFERENCES: readonly Difference[] = [];
