import { configDefaults, defineConfig } from 'vitest/config';

/** What runs no kernel of Debian's: hundreds of files, most of them of milliseconds. */
const UNITS = ['src/**/*.spec.ts', 'tools/**/*.spec.ts', 'test/{cpu,guests,native,fuzz}/**/*.spec.ts'];
/** Guests take seconds, and two at a time fill a small machine. */
const testTimeout = 30_000;

export default defineConfig({
  test: {
    globalSetup: 'test/host-tools.ts',
    maxWorkers: 2,
    // In the order of their names: files that take minutes begin first, so that no process waits for the other one's last.
    projects: [
      { test: { name: 'guests', include: ['test/**/*.spec.ts'], exclude: [...configDefaults.exclude, ...UNITS], testTimeout } },
      // A process serves many files: no module has state of its own, and to start and load anew costs more than most files' tests.
      { test: { name: 'units', include: UNITS, isolate: false, testTimeout } },
    ],
  },
});
