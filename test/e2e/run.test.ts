/** Promises of `run`, `compare`, `list` and `machine` as a user meets them. */

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunResult } from '../../src/metrics/result.ts';
import { runResultSchema } from '../../src/metrics/result-schema.ts';
import { CLI, fixture, numalab } from './numalab.ts';

const SMALL = ['run', 'memory_latency', 'maximum=64K', 'accesses=500'];

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'numalab-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function json(words: readonly string[]): Promise<RunResult> {
  const outcome = await numalab([...words, '--json', '--quiet'], { cwd: folder });
  expect(outcome.stderr).toBe('');
  expect(outcome.code).toBe(0);
  return JSON.parse(outcome.stdout) as RunResult;
}

describe('run', () => {
  it('prints one JSON object of the stated shape', async () => {
    const result = await json(SMALL);
    expect(runResultSchema.safeParse(result).error).toBeUndefined();
    expect(result.workload).toBe('memory_latency');
    expect(result.histograms['memory.read']?.count).toBeGreaterThan(0);
  });

  it('gives the same digest again, and another for another seed', async () => {
    const [first, again, other] = await Promise.all([
      json(SMALL),
      json(SMALL),
      json([...SMALL, '-s', '2']),
    ]);
    expect(again!.digest).toBe(first!.digest);
    expect(other!.digest).not.toBe(first!.digest);
  });

  it('names a run by what decides its result, not by how it is computed', async () => {
    const [plain, threads, seed, words] = await Promise.all([
      json(SMALL),
      json([...SMALL, '--threads', '1', '-j', '1']),
      json([...SMALL, '-s', '2']),
      json([...SMALL.slice(0, 2), '-c', '1', 'n=500', '--set', 'b=65536']),
    ]);
    expect(threads!.runId).toBe(plain!.runId);
    expect(words!.runId).toBe(plain!.runId);
    expect(seed!.runId).not.toBe(plain!.runId);
  });

  it('isolates the parts of a profile: the rest keeps its inputs', async () => {
    const profile = join(folder, 'pair.yaml');
    const part = (label: string, cpu: number): string =>
      `  - { label: ${label}, workload: memory_latency, cpus: ${cpu}, ` +
      'parameters: { maximum: 64K, accesses: 500 } }\n';
    writeFileSync(profile, `parts:\n${part('a', 0)}${part('b', 96)}`);
    const words = ['run', profile, '--isolate', '--json', '--quiet'];
    const { code, stdout } = await numalab(words, { cwd: folder });
    expect(code).toBe(0);
    const { runs } = JSON.parse(stdout) as { runs: (RunResult & { label: string })[] };
    expect(runs.map(({ label }) => label)).toEqual(['all', 'without a', 'without b']);
    const count = (run: RunResult | undefined, node: number) =>
      run?.histograms[`memory.read@node${node}`]?.count ?? 0;
    expect([0, 1].map((node) => count(runs[1], node) > 0)).toEqual([false, true]);
    expect(count(runs[1], 1)).toBe(count(runs[0], 1));
  });

  it('runs seeds side by side with the results of each alone', async () => {
    const both = await json([...SMALL, '-s', '5', '-r', '2', '-j', '2']);
    const second = await json([...SMALL, '-s', '6']);
    expect(both.seeds.map(({ seed }) => seed)).toEqual([5, 6]);
    expect(both.seeds[1]!.digest).toBe(second.seeds[0]!.digest);
    const counts = both.histograms['memory.read']!.count;
    expect(counts).toBe(2 * second.histograms['memory.read']!.count);
  });

  it('gives the same digest on any number of worker threads, also chosen by auto', async () => {
    const words = ['run', fixture('private-lines'), 'placement=spread', 'rounds=2000'];
    const auto = await json(words);
    const one = await json([...words, '--threads', '1']);
    const perCpu = await json([
      ...words.slice(0, 3),
      'rounds=5',
      '--threads',
      'per-cpu',
      '-c',
      '4',
    ]);
    const few = await json([
      ...words.slice(0, 3),
      'rounds=5',
      '--threads',
      '2',
      '-c',
      '4',
      '--check',
    ]);
    expect(auto.digest).toBe(one.digest);
    expect(auto.threads.option).toBe('auto');
    expect(one.threads.workers).toBe(1);
    expect(perCpu.threads.workers).toBe(4);
    expect(perCpu.digest).toBe(few.digest);
    expect(few.checks.length).toBeGreaterThan(2);
    expect(few.checks.filter(({ ok }) => !ok)).toEqual([]);
  });

  it('runs several workloads of a profile at once', async () => {
    const result = await json(['run', 'noisy-neighbour']);
    expect(result.workload).toBe('noisy-neighbour');
    expect(Object.keys(result.params)).toContain('lock.acquisitions');
    expect(result.report.filter((line) => line.startsWith('['))).toHaveLength(3);
    expect(Object.keys(result.histograms)).toContain('lock.wait#lock:contended');
  });

  it('prints results on stdout, a header and the next command', async () => {
    const outcome = await numalab(SMALL);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/^memory_latency on graviton4_2p, 1 CPU\n/);
    expect(outcome.stdout).toMatch(/node 0: CPU 0\n/);
    expect(outcome.stdout).toMatch(/seed 1, .*digest [0-9a-f]{64}/);
    expect(outcome.stdout).toMatch(/\nnext: numalab run .*\n$/);
    expect(outcome.stdout).not.toContain('\u001b');
    expect(outcome.stderr).toBe('');
  });

  it('--dry-run resolves and estimates, and runs nothing', async () => {
    const outcome = await numalab([...SMALL, '--dry-run', '-c', '0-1,96']);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/CPUs 0-1.*; node 1: CPU 96/);
    expect(outcome.stdout).toMatch(/accesses +500 {2}\(given\)/);
    expect(outcome.stdout).toMatch(/host memory: about \d+/);
  });

  it('refuses what is beyond the memory of the host', async () => {
    const words = ['run', 'memory_latency', '-r', '200', '-j', '200', 'maximum=128G'];
    const outcome = await numalab([...words, 'pageSize=4K']);
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/needs about .* of host memory and the host has .*; lower/);
  });

  it('writes whole files to --out, and nothing elsewhere', async () => {
    await json([...SMALL, '-o', 'out']);
    const names = readdirSync(join(folder, 'out')).sort();
    expect(names).toContain('result.json');
    expect(names).toContain('latency.hlog');
    expect(names).toContain('memory.read.hgrm');
    expect(names.filter((name) => name.startsWith('.'))).toEqual([]);
    const text = readFileSync(join(folder, 'out', 'result.json'), 'utf8');
    expect(runResultSchema.safeParse(JSON.parse(text)).success).toBe(true);
  });

  it('ends silently when its reader has seen enough', async () => {
    const child = spawn(process.execPath, [CLI, 'list', 'metrics', '--json']);
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('compare', () => {
  it('runs variants and says when they are identical', async () => {
    const words = ['compare', 'memory_latency', 'n=500,maximum=64K', 'maximum=64K,n=500'];
    const outcome = await numalab([...words, '--quiet']);
    expect(outcome.stderr).toBe('');
    expect(outcome.stdout).toMatch(/A and B are identical: same digest/);
    expect(outcome.code).toBe(0);
  });

  it('--dry-run resolves and estimates every variant, and runs nothing', async () => {
    const words = ['compare', 'lock_contention', 'lock=ticket', 'lock=mcs,locks=3'];
    const options = ['-c', '0-1,96', '-m', 'graviton4_2p', '--dry-run', '-o', 'never'];
    const [text, data] = await Promise.all([
      numalab([...words, ...options], { cwd: folder }),
      numalab([...words, ...options, '--json'], { cwd: folder }),
    ]);
    expect([text!.code, text!.stderr, data!.code, data!.stderr]).toEqual([0, '', 0, '']);
    expect(text!.stdout).toMatch(/^lock=ticket \(baseline\)\n/);
    expect(text!.stdout.match(/CPUs 0-1.*; node 1: CPU 96/g)).toHaveLength(2);
    expect(text!.stdout).toMatch(/ lock +mcs {2}\(given\)\n/);
    expect(text!.stdout).toMatch(/\nall 2, one after another: host memory about \d.*, about \d/);
    const plan = JSON.parse(data!.stdout) as { runs: { label: string; params: object }[] };
    expect(plan.runs.map(({ label }) => label)).toEqual(['lock=ticket', 'lock=mcs,locks=3']);
    expect(plan.runs[1]!.params).toMatchObject({ lock: 'mcs', locks: 3 });
    expect(readdirSync(folder)).not.toContain('never');
  });

  it('reads what --out wrote', async () => {
    await json([...SMALL, '-o', 'a']);
    await json([...SMALL, '-o', 'b', '-s', '3']);
    const options = { cwd: folder };
    const outcome = await numalab(['compare', './a', './b/latency.hlog', '--json'], options);
    expect(outcome.code).toBe(0);
    const bare = await numalab(['compare', 'a', 'b'], options);
    expect(bare.stdout).toMatch(/^A {2}a: memory_latency on graviton4_2p \(baseline\)\nB {2}b: /);
    const comparison = JSON.parse(outcome.stdout) as { schema: string; runs: unknown[] };
    expect(comparison.schema).toBe('numalab-compare-1');
    expect(comparison.runs).toHaveLength(2);
  });

  it('refuses a log that is cut short', async () => {
    await json([...SMALL, '-o', 'c']);
    const log = readFileSync(join(folder, 'c', 'latency.hlog'), 'utf8');
    writeFileSync(join(folder, 'cut.hlog'), log.slice(0, log.length / 2));
    const outcome = await numalab(['compare', './c', './cut.hlog'], { cwd: folder });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/^numalab: \.\/cut\.hlog.*\n$/);
  });
});

describe('help and lists', () => {
  it('answers --help in well under half a second, with examples', async () => {
    const all = await numalab(['--help']);
    expect(all.code).toBe(0);
    expect(all.ms).toBeLessThan(1500);
    for (const command of ['run', 'compare', 'list', 'machine']) {
      const { stdout, code } = await numalab([command, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`numalab ${command}`);
      expect(stdout.match(/^ {2}numalab /gm)?.length).toBeGreaterThanOrEqual(3);
    }
  });

  it('shows the keys of a workload in its help', async () => {
    const { stdout } = await numalab(['run', 'memory_latency', '--help']);
    expect(stdout).toMatch(/maximum, b .*largest working set/);
    expect(stdout).toMatch(/size 4K \.\. 128G; default/);
    expect(stdout).toMatch(/first-touch, interleave or bind:NODE/);
  });

  it.each(['workloads', 'machines', 'profiles', 'locks', 'variants', 'metrics'])(
    'list %s is text, names or JSON',
    async (what) => {
      const [text, names, data] = await Promise.all([
        numalab(['list', what]),
        numalab(['list', what, '--names']),
        numalab(['list', what, '--json']),
      ]);
      expect(text!.code).toBe(0);
      const entries = JSON.parse(data!.stdout) as { name: string; description: string }[];
      expect(entries.length).toBeGreaterThan(0);
      expect(names!.stdout.trim().split('\n')).toEqual(entries.map(({ name }) => name));
      expect(text!.stdout).toContain(entries[0]!.name);
    },
  );

  it('list locks tells them apart', async () => {
    const { stdout } = await numalab(['list', 'locks']);
    expect(stdout).toMatch(/^lock +fair +queue +NUMA +sleeps +read side +bytes/);
    expect(stdout).toMatch(/^cna +- +yes +yes +- +- +4 /m);
    expect(stdout).toMatch(/^cohort .* 72 \+ 136\/node /m);
    expect(stdout).toMatch(/^mutex +- +yes +- +yes +- +32 /m);
  });

  it('every example in the help of list and machine runs', async () => {
    for (const command of ['list', 'machine']) {
      const { stdout } = await numalab([command, '--help']);
      const lines = [...stdout.matchAll(/^ {2}numalab (\S.*)$/gm)];
      for (const line of lines.map((match) => match[1]!)) {
        const outcome = await numalab(line.split(' '));
        expect(outcome.code, line).toBe(0);
      }
    }
  });
});

describe('machine', () => {
  it('shows as numactl does, and imports what it shows', async () => {
    const shown = await numalab(['machine', 'show', 'graviton4_2p', '--format', 'numactl']);
    expect(shown.stdout).toMatch(/^available: 2 nodes \(0-1\)/);
    writeFileSync(join(folder, 'host.txt'), shown.stdout);
    const imported = await numalab(['machine', 'import', 'host.txt'], { cwd: folder });
    expect(imported.code).toBe(0);
    writeFileSync(join(folder, 'host.yaml'), imported.stdout);
    const again = await numalab(['machine', 'show', 'host.yaml', '--format', 'numactl'], {
      cwd: folder,
    });
    expect(again.stdout).toBe(shown.stdout);
    const run = await json([...SMALL, '-m', 'host.yaml']);
    expect(run.machine).toBe('host');
  });

  it('prints every number with its source', async () => {
    const { stdout, code } = await numalab(['machine', 'show', 'graviton4_2p']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/estimate/);
    const data = await numalab(['machine', 'show', 'graviton4-2p', '--json']);
    expect(JSON.parse(data.stdout)).toMatchObject({ name: 'graviton4_2p', cpuCount: 192 });
  });
});
