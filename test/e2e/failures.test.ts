/** Promise: a run that fails ends at once with one clear error and its exit code. */

import { describe, expect, it } from 'vitest';
import { fixture, numalab } from './numalab.ts';

const TWO_WORKERS = ['-c', '2', 'placement=spread', '--threads', '2', '--quiet'];

describe('a failing worker', () => {
  it.each([
    ['throw', 4, /bug: a program that fails/],
    ['exit', 4, /bug: a worker thread died/],
    ['check', 2, /two owners of one lock/],
  ])('%s: ends the run with exit %i', async (failure, code, message) => {
    const words = ['run', fixture('broken'), `failure=${failure}`, ...TWO_WORKERS, '-s', '7'];
    const outcome = await numalab(words);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(code);
    expect(outcome.stdout).toBe('');
    expect(outcome.stderr).toMatch(/seed: 7/);
    expect(outcome.stderr).toMatch(/replay: numalab run .*broken.js failure=\w+ .*--seed 7/);
    expect(outcome.stderr).not.toMatch(/another worker failed/);
  });

  it('replays by the printed line', async () => {
    const words = ['run', fixture('broken'), 'failure=check', '-c', '2', '-s', '7', '--quiet'];
    const first = await numalab(words);
    const line = /^replay: numalab (.*)$/m.exec(first.stderr)![1]!;
    const second = await numalab([...line.split(' '), '--quiet']);
    expect(second.code).toBe(2);
    expect(second.stderr).toBe(first.stderr);
  });

  it('out of memory is one error that says what to lower', async () => {
    const words = ['run', fixture('broken'), 'failure=memory', ...TWO_WORKERS];
    const env = { NODE_OPTIONS: '--max-old-space-size=96' };
    const outcome = await numalab(words, { env });
    expect(outcome.stderr).toMatch(
      /^numalab: out of host memory: .* its heap of \d+ MiB \(estimated .*\); lower --cpus, .*\n$/,
    );
    expect(outcome.code).toBe(1);
    expect(outcome.stdout).toBe('');
  });

  it.each([
    ['1us', 97],
    ['1ns', 97],
    // At the same time: the lowest CPU.
    ['0ns', 0],
  ])('of several, %s apart, the earliest in emulated time is told', async (apart, cpu) => {
    const words = ['run', fixture('all-fail'), `apart=${apart}`, '-c', '0-1,96-97', '--quiet'];
    const outcomes = await Promise.all(
      ['1', '2', '4', 'per-cpu'].map((threads) => numalab([...words, '--threads', threads])),
    );
    for (const outcome of outcomes) {
      expect(outcome.code).toBe(4);
      expect(outcome.stderr).toMatch(new RegExp(`^numalab: bug: CPU ${cpu} fails\n`));
    }
  });

  it('ends the other seeds, too', async () => {
    const words = ['run', fixture('broken'), 'failure=throw', '-c', '2', '-r', '4', '-j', '2'];
    const outcome = await numalab([...words, '--quiet']);
    expect(outcome.code).toBe(4);
    expect(outcome.stderr).toMatch(/a program that fails/);
  });
});

describe('Ctrl-C', () => {
  it.each([
    ['emulated work', 'endless', []],
    ['a program that never yields', 'broken', ['failure=hang']],
  ])('ends %s within a second or so, exit 130', async (_what, name, parameters) => {
    const words = ['run', fixture(name), ...parameters, ...TWO_WORKERS];
    const outcome = await numalab(words, { interruptAfterMs: 2000 });
    expect(outcome.code).toBe(130);
    expect(outcome.ms).toBeLessThan(2000 + 2500);
    expect(outcome.stderr).toBe('numalab: interrupted\n');
    expect(outcome.stdout).toBe('');
  });
});

describe('an emulated deadlock', () => {
  it('is a result: who waits for what, exit 3', async () => {
    const outcome = await numalab(['run', fixture('deadlock'), '-c', '2', '--quiet']);
    expect(outcome.code).toBe(3);
    expect(outcome.stdout).toMatch(/DEADLOCK of the emulated program at/);
    expect(outcome.stdout).toMatch(/CPU 1 .*waits for a condition/);
    expect(outcome.stderr).toBe('');
  });

  it('is in the JSON, too', async () => {
    const outcome = await numalab(['run', fixture('deadlock'), '-c', '2', '--json']);
    expect(outcome.code).toBe(3);
    expect(JSON.parse(outcome.stdout).stall).toMatchObject({ kind: 'deadlock', seed: 1 });
  });
});
