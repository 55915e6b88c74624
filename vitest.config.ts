import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.spec.ts', 'test/**/*.spec.ts', 'tools/**/*.spec.ts'],
    globalSetup: 'test/host-tools.ts',
    // Guests take seconds, and two at a time fill a small machine.
    testTimeout: 30_000,
    maxWorkers: 2,
  },
});
