/**
 * `npm run soak`: random programs that are too many or too large for the tests. More CPUs (16 to
 * 64), more steps, seeds without end: each on 1, 2, 4 and per-cpu worker threads, every other one
 * on the naive engine, too. Ends after --minutes (default 10) or --seeds programs; prints the
 * command that shows a failure again. Before them every family of locks and protocols on the host
 * engine, --host-seconds each (default 60, 0: none). Exit code 2 if anything failed.
 */

import { parseArgs } from 'node:util';
import { type RandomCase, randomCase } from '../support/random-program.ts';
import { type MachineLimits, REQUESTER } from '../support/virtual-machines.ts';
import {
  differences,
  runHere,
  runNaive,
  runOnThreads,
  type Threads,
} from '../support/virtual-run.ts';
import { WorkerPool } from '../support/worker-pool.ts';
import { HOST_FAMILIES, soakFamily } from './host-soak.ts';

const LARGE: MachineLimits = { cpuCounts: [16, 24, 32, 48, 64], nodeCounts: [1, 2, 2, 4] };
/** The naive engine looks at every entry of everything. */
const NAIVE_EVERY = 2;

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1000000' },
    minutes: { type: 'string', default: '10' },
    steps: { type: 'string', default: '40' },
    'small-machines': { type: 'boolean', default: false },
    /** Small machines with llcPlacement = requester. */
    requester: { type: 'boolean', default: false },
    'host-seconds': { type: 'string', default: '60' },
  },
});

const isSmall = values['small-machines'] || values.requester;

function caseOf(seed: number): RandomCase {
  const small = values.requester ? { limits: REQUESTER } : {};
  const limits = isSmall ? small : { limits: LARGE };
  return randomCase(seed, { steps: Number(values.steps), ...limits });
}

async function complaintsOf(theCase: RandomCase, pool: WorkerPool): Promise<string[]> {
  const complaints: string[] = [];
  const base = runHere(theCase);
  if (base.ending !== 'finished') complaints.push(`ends in ${base.ending}`);
  const compare = (what: string, other: typeof base): void => {
    for (const line of differences(base, other).slice(0, 3)) complaints.push(`${what}: ${line}`);
  };
  const checks = { witness: true, translations: true, repeats: true, shuffle: theCase.seed + 1 };
  compare('shuffled', runHere(theCase, checks));
  if (isSmall || theCase.seed % NAIVE_EVERY === 0) {
    compare('naive engine', runNaive(theCase));
  }
  for (const threads of [2, 4, 'per-cpu'] satisfies Threads[]) {
    compare(`${threads} threads`, await runOnThreads(theCase, threads, pool));
  }
  return complaints;
}

async function soakHost(): Promise<number> {
  const seconds = Number(values['host-seconds']);
  let failed = 0;
  for (const family of seconds > 0 ? HOST_FAMILIES : []) {
    const { lines, failures } = await soakFamily(family, seconds, Number(values.from));
    console.log(`host engine, ${family}:\n${lines.map((line) => `  ${line}`).join('\n')}`);
    failed += failures;
  }
  return failed;
}

async function main(): Promise<number> {
  const hostFailures = await soakHost();
  const pool = new WorkerPool();
  const first = Number(values.from);
  const end = performance.now() + Number(values.minutes) * 60_000;
  let failed = 0;
  let seed = first;
  for (; seed < first + Number(values.seeds) && performance.now() < end; seed++) {
    const complaints = await complaintsOf(caseOf(seed), pool).catch((error: Error) => [
      error.message.split('\n')[0]!,
    ]);
    if (complaints.length > 0) {
      failed++;
      const small = values['small-machines'] ? ' --small-machines' : '';
      const size = values.requester ? ' --requester' : small;
      console.log(`seed ${seed} FAILED: ${complaints.join('; ')}`);
      const again = `--host-seconds 0 --from ${seed} --seeds 1 --steps ${values.steps}${size}`;
      console.log(`  again: npm run soak -- ${again}`);
    }
    if ((seed - first) % 20 === 19) console.log(`${seed - first + 1} programs, ${failed} failed`);
  }
  console.log(`${seed - first} programs from seed ${first}, ${failed} failed`);
  await pool.close();
  return failed + hostFailures === 0 ? 0 : 2;
}

process.exitCode = await main();
