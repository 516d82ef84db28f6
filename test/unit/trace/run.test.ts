/** Traces from request to result, in this process: identity, placement, refusals. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InterruptedError } from '../../../src/base/errors.ts';
import { runSpecification } from '../../../src/run/run.ts';
import type { RunSpec } from '../../../src/run/run-spec.ts';
import { resolveSpecification } from '../../../src/run/specification.ts';
import { runPlainCaches } from '../../support/plain-caches.ts';
import { kernelsTrace, sortTrace, TRACES } from '../../traces/make-traces.ts';
import { TraceFolder } from './traces.ts';

let folder: TraceFolder;
beforeAll(() => {
  folder = new TraceFolder();
});
afterAll(() => folder.remove());

interface Options {
  readonly cpus?: string;
  readonly engine?: string;
}

function resolve(words: string, options: Options = {}, signal?: AbortSignal): Promise<RunSpec> {
  const assignments = words.split(' ').filter((word) => word !== '');
  const request = { workload: 'trace', assignments, check: false, ...options };
  return resolveSpecification(request, signal);
}

async function run(words: string, options: Options = {}) {
  return runNow(await resolve(words, options));
}

async function runNow(spec: RunSpec, signal = new AbortController().signal) {
  const { result } = await runSpecification(spec, { signal, progress: null });
  return result;
}

describe('a run of a trace', () => {
  it('is identified by contents', async () => {
    const idOf = async (contents: string): Promise<string> =>
      (await resolve(`input=${folder.write('same', contents).path}`)).runId;
    const first = await idOf(' L 0,8\n');
    expect(await idOf(' L 8,8\n')).not.toBe(first);
    expect(await idOf(' L 0,8\n')).toBe(first);
  });

  it('places pages by policy', async () => {
    const lines = Array.from({ length: 64 }, (_, page) => ` L ${(page * 4096).toString(16)},8`);
    const { path } = folder.write('pages', lines.join('\n'));
    const remote = async (words: string): Promise<number> =>
      (await run(`input=${path} ${words}`)).counters['dram.remote'] ?? 0;
    expect(await remote('mempolicy=first-touch')).toBe(0);
    expect(await remote('mempolicy=interleave')).toBe(32);
    // All 64 pages in one block; tables stay with the CPU.
    expect(await remote('mempolicy=bind:1 pageSize=2M')).toBe(64);
  });

  it('gives CPUs memory of their own, or the same', async () => {
    const files = [0, 1].map((cpu) => folder.write(`${cpu}`, ' S 1000,8\n L 2000,8\n').path);
    const transfers = async (space: string): Promise<number> => {
      const { counters } = await run(`input=${files.join(',')} space=${space}`);
      return counters['transfer.local'] ?? 0;
    };
    expect(await transfers('own')).toBe(0);
    expect(await transfers('shared')).toBeGreaterThan(0);
  });

  it('maps the ends of 48 bits', async () => {
    const { path } = folder.write('ends', 'I  ffffffffffff,1\n M 0,8\n S 7fffffffffff,1\n');
    for (const size of ['4K', '1G']) {
      const { counters } = await run(`input=${path} pageSize=${size}`);
      expect(counters['operations']).toBe(3);
    }
  });
});

describe("the repository's traces", () => {
  const contents = (name: string): string =>
    gunzipSync(readFileSync(new URL(name, TRACES))).toString('latin1');

  it('are what npm run trace:make writes', () => {
    expect(contents('kernels.lackey.gz') === kernelsTrace()).toBe(true);
    expect(contents('sort.din.gz') === sortTrace()).toBe(true);
  });

  it('hit where a plain model of the caches says so', async () => {
    const spec = await resolve(`input=${fileURLToPath(new URL('kernels.lackey.gz', TRACES))}`);
    const { counters } = await runNow(spec);
    const model = runPlainCaches(spec.machine, contents('kernels.lackey.gz'));
    expect({
      l1: counters['l1.hits'],
      l2: counters['l2.hits'],
      misses: counters['cache.misses'],
      fetches: counters['instructions.fetched'],
    }).toEqual(model);
    expect(model.l1 / (model.l1 + model.l2 + model.misses)).toBeGreaterThan(0.9);
  });
});

describe('what is wrong with a trace', () => {
  it('is one line before anything runs', async () => {
    const path = (name: string, contents: string): string => folder.write(name, contents).path;
    const refused = (words: string, message: RegExp, options?: Options): Promise<void> =>
      expect(resolve(words, options)).rejects.toThrow(message);
    execFileSync('mkfifo', [join(folder.path, 'fifo')]);
    await refused('', /^trace needs a trace .* write numalab run trace input=/);
    await refused('input=none', /^none: no such file$/);
    await refused(`input=${folder.path}`, /: is a folder; expected a trace file$/);
    await refused(`input=${folder.path}/fifo`, /fifo: is no regular file .* write the trace to/);
    await refused(`input=${path('words', 'hello\n')}`, /words:1: 'hello' is no record; expected/);
    const good = path('good', ' L 0,8\n');
    await refused(`input=${good},`, /has an empty file name$/);
    await refused(`input=${good}`, /^--engine host: traces are run by/, { engine: 'host' });
    await refused(`input=${good} spce=own`, /no parameter 'spce'/);
  });

  it('is one line when CPUs are missing', async () => {
    const { path } = folder.write('cpus', '0 L 0,8\n0 L 0,8\n999 L 0,8\n');
    await expect(run(`input=${path}`, { cpus: '4' })).rejects.toThrow(
      /cpus:3: CPU 999 of the trace, and 4 CPUs take part \(0 to 3\); use --cpus 1000 or more/,
    );
  });

  it('is one line when it changes before or while it is run', async () => {
    for (const contents of [' L 123456,8\n', ' L 0,8\n L 0,8\n']) {
      const file = folder.write('changing', ' L 0,8\n');
      const spec = await resolve(`input=${file.path}`);
      folder.write('changing', contents);
      await expect(runNow(spec)).rejects.toThrow(/changing: changed while it was run; expected/);
    }
  });
});

describe('an interrupt', () => {
  it('ends the reading and the run, and leaves no thread', async () => {
    const { path } = folder.write('long', ' L 0,8\n L 40,8\n'.repeat(500_000));
    const stop = new AbortController();
    const scanning = resolve(`input=${path}`, {}, stop.signal);
    setTimeout(() => stop.abort(), 20);
    await expect(scanning).rejects.toThrow(InterruptedError);
    const spec = await resolve(`input=${folder.write('short', ' L 0,8\n').path} passes=1000000`);
    const stopRun = new AbortController();
    setTimeout(() => stopRun.abort(), 300);
    await expect(runNow(spec, stopRun.signal)).rejects.toThrow(InterruptedError);
    await expect(resolve(`input=${path}`, {}, stop.signal)).rejects.toThrow(InterruptedError);
  });
});
