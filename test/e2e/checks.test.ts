/**
 * Promise: `run --check` finds what a wrong program does, says where and when, exits with 2 and
 * prints a line that shows it again; it finds the same on any number of worker threads, nothing
 * in a correct program, and changes no result.
 */

import { describe, expect, it } from 'vitest';
import type { RunResult } from '../../src/metrics/result.ts';
import { fixture, numalab } from './numalab.ts';

const WORDS = ['run', fixture('unmapped-page'), '-c', '4', 'placement=spread', '--quiet', '--json'];

async function run(...words: string[]): Promise<{ code: number | null; result: RunResult }> {
  const outcome = await numalab([...WORDS, ...words]);
  expect(outcome.stderr).toBe('');
  return { code: outcome.code, result: JSON.parse(outcome.stdout) as RunResult };
}

function failed(result: RunResult): { name: string; text: string }[] {
  return result.checks.filter(({ ok }) => !ok).map(({ name, text }) => ({ name, text }));
}

describe('run --check', () => {
  it('is silent about a correct program, and changes no result', async () => {
    const [checked, plain] = await Promise.all([run('--check'), run()]);
    expect(failed(checked!.result)).toEqual([]);
    expect(checked!.code).toBe(0);
    expect(checked!.result.digest).toBe(plain!.result.digest);
    expect(checked!.result.checks.map(({ name }) => name)).toContain('translations');
    expect(plain!.result.checks).toEqual([]);
  });

  it.each([
    [
      'no-tlbi',
      'freed-frames',
      /^CPU \d+ at [\d.]+ ns: uses a translation.*\(physical 0x\w+, the page;/,
    ],
    ['local-tlbi', 'freed-frames', /uses a translation.*to a frame that was freed/],
    ['no-dsb', 'translations', /frees a frame before the TLBI for it is complete: never/],
    ['double-unlock', 'locks', /releases a lock that nobody holds \(virtual 0xffff\w+, the lock\)/],
  ])('%s: exit 2, and the rule is %s', async (mistake, rule, text) => {
    const { code, result } = await run(`mistake=${mistake}`, '--check');
    expect(code).toBe(2);
    const [first] = failed(result);
    expect(first!.name).toBe(rule);
    expect(first!.text).toMatch(text);
    expect(first!.text).toMatch(/; replay: numalab run .*mistake=.* --seed 1 --check$/);
  });

  it('says the same on any number of worker threads', async () => {
    const results = await Promise.all(
      ['1', '2', 'per-cpu'].map((threads) =>
        run('mistake=local-tlbi', '--check', '--threads', threads),
      ),
    );
    const [one, ...others] = results.map(({ result }) => result.checks);
    for (const checks of others) expect(checks).toEqual(one);
  });

  it('shows the violation again by the printed line', async () => {
    const { result } = await run('mistake=no-tlbi', '--check');
    const line = /replay: numalab (.*)$/.exec(failed(result)[0]!.text)![1]!;
    const again = await numalab([...line.split(' '), '--quiet', '--json']);
    expect(again.code).toBe(2);
    expect(failed(JSON.parse(again.stdout) as RunResult)).toEqual(failed(result));
  });
});
