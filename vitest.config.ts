/**
 * Tests import src/*.ts directly; worker threads load the compiled dist/workers/*.js, which
 * `npm test` builds first. What is too long for every day is `npm run soak` (test/soak).
 */

import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const MINUTE_MS = 60_000;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Some tests start worker threads of their own; a third process would only wait.
    maxWorkers: availableParallelism(),
    testTimeout: 2 * MINUTE_MS,
    hookTimeout: MINUTE_MS,
  },
});
