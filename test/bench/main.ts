/**
 * `npm run bench [-- --json] [--full] [--report] [NAME...]`: rates of the emulator, each beside
 * its bare-loop bound in the same run. --report also writes test/reports/bench.md. Every benchmark
 * has a process of its own, so that none finds code that another one has shaped, and memory can be
 * told apart.
 */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { widenInlining } from '../../src/base/inlining.ts';
import { packageRoot } from '../../src/base/package-root.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { BENCHMARKS } from './registry.ts';
import { asJson, asMarkdown, asTable, type Finished } from './table.ts';

const CHILD = '--child';
const REPORT = new URL('test/reports/bench.md', packageRoot());
const USAGE = 'usage: npm run bench -- [--json] [--full] [--report] [NAME...]';

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === CHILD) {
    widenInlining();
    const measured = await named(argv[1]!).measure();
    process.stdout.write(`${JSON.stringify(measured)}\n`);
    return 0;
  }
  const unknownOption = argv.find(
    (word) => word.startsWith('-') && !/^--(json|full|report)$/.test(word),
  );
  const names = argv.filter((word) => !word.startsWith('-'));
  const unknown = unknownOption ?? names.find((name) => !BENCHMARKS.some((b) => b.name === name));
  if (unknown !== undefined) {
    const known = BENCHMARKS.map(({ name }) => name).join(', ');
    process.stderr.write(`bench: '${unknown}' is unknown\n${USAGE}\nnames: ${known}\n`);
    return 1;
  }
  const full = argv.includes('--full');
  const chosen = BENCHMARKS.filter(({ name, long }) =>
    names.length > 0 ? names.includes(name) : full || long !== true,
  );
  const load = loadavg()[0]!.toFixed(1);
  process.stderr.write(`bench: ${availableParallelism()} cores, load ${load} before the start\n`);
  const finished = chosen.map(measureApart);
  if (argv.includes('--report')) writeFileSync(REPORT, asMarkdown(finished, load));
  const json = argv.includes('--json');
  process.stdout.write(`${json ? asJson(finished) : asTable(finished)}\n`);
  return 0;
}

function named(name: string): Benchmark {
  const found = BENCHMARKS.find((benchmark) => benchmark.name === name);
  if (found === undefined) throw new Error(`no benchmark ${name}`);
  return found;
}

function measureApart(benchmark: Benchmark): Finished {
  const startMs = performance.now();
  const child = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), CHILD, benchmark.name],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26 },
  );
  if (child.status !== 0) throw new Error(`${benchmark.name} failed (exit ${child.status})`);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stderr.write(`${benchmark.name}: ${seconds} s\n`);
  return { benchmark, measured: JSON.parse(child.stdout) as Measured };
}

process.exitCode = await main(process.argv.slice(2));
