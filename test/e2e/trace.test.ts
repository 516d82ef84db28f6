/** Traces from the command line: a refusal, and Ctrl-C while the reader thread waits. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numalab } from './numalab.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'numalab-'));
  writeFileSync(join(folder, 'good'), ' L 0,8\n L 40,8\n');
  writeFileSync(join(folder, 'cpus'), '0 L 0,8\n0 L 0,8\n9 L 0,8\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('run trace', () => {
  it('refuses in one line, also from a worker thread', async () => {
    const words = ['run', 'trace', 'input=cpus', '-c', '4'];
    const { code, stdout, stderr } = await numalab(words, { cwd: folder });
    expect(stderr.trimEnd()).toMatch(/^numalab: cpus:3: CPU 9 of the trace, and 4 CPUs take part/);
    expect(stderr.trimEnd()).not.toContain('\n');
    expect(stdout).toBe('');
    expect(code).toBe(1);
  });

  it('ends on Ctrl-C', async () => {
    const words = ['run', 'trace', 'input=good,good', 'passes=1000000', '--quiet'];
    const { code, ms } = await numalab(words, { cwd: folder, interruptAfterMs: 2500 });
    expect(code).toBe(130);
    expect(ms).toBeLessThan(10_000);
  });
});
