/**
 * Tests import src/*.ts directly; worker threads load the compiled dist/workers/*.js, which
 * `npm test` builds first. `--mode soak` runs what is too long for every day: test/**\/*.soak.ts.
 */

import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const MINUTE_MS = 60_000;

export default defineConfig(({ mode }) => ({
  test: {
    include: [mode === 'soak' ? 'test/**/*.soak.ts' : 'test/**/*.test.ts'],
    pool: 'forks',
    // Some tests start worker threads of their own; a third process would only wait.
    maxWorkers: availableParallelism(),
    testTimeout: mode === 'soak' ? 120 * MINUTE_MS : MINUTE_MS,
    hookTimeout: MINUTE_MS,
  },
}));
