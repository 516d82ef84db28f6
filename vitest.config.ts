import { defineConfig } from 'vitest/config';

// Tests import src/*.ts directly; worker threads load the compiled dist/workers/*.js,
// which `npm test` builds first.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
