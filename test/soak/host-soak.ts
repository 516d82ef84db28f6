/**
 * Soak of the host engine: every family of locks and protocols for so many seconds each, under
 * forced losses of the core, and the stage-2 fault path by its own workload. `npm run soak` gives
 * each family 60 s, the tests 1 s.
 *
 * What it can't find: a starvation bound is not watched (M27, M23, M25, M34), because whom a host's
 * scheduler holds back is nobody's promise; missing barriers can't show. A window of one access is
 * met by chance: M18 (the last in the queue stores the whole word) took 12 rounds of 4 x 200
 * acquisitions once, 17 s on two busy cores, and is missed by shorter soaks.
 */

import { formatPs, PS_PER_S } from '../../src/base/units.ts';
import { runSpecification } from '../../src/run/run.ts';
import { resolveSpecification } from '../../src/run/specification.ts';
import { resolveTarget, targetNames } from '../../src/stress/registry.ts';
import { hostSize, runHostTarget, sourceOf } from '../../src/stress/run-target-host.ts';

const STAGE2 = 'stage-2 faults';

/** Families of targets by the way in which they wait, and protocols. */
const FAMILIES: Readonly<Record<string, readonly string[]>> = {
  spinning: ['tas', 'ttas', 'ttas-backoff', 'ticket', 'twa', 'anderson', 'peterson', 'dekker'],
  queues: ['mcs', 'clh', 'k42', 'hemlock', 'qspinlock'],
  'NUMA-aware': ['cna', 'cohort', 'hclh', 'hmcs'],
  'reader-writer': ['qrwlock', 'simple-rwlock', 'percpu-rwsem', 'bravo-qrwlock', 'rwsem'],
  sleeping: ['mutex', 'mutex-nospin', 'futex', 'rtmutex', 'rwsem-nospin'],
};
const OTHERS = 'others';

export const HOST_FAMILIES: readonly string[] = [...Object.keys(FAMILIES), OTHERS, STAGE2];

export interface SoakReport {
  readonly lines: readonly string[];
  readonly failures: number;
}

/** One family; its time is shared out among its members. */
export async function soakFamily(
  family: string,
  seconds: number,
  seed: number,
): Promise<SoakReport> {
  if (family === STAGE2) return soakStage2(seconds, seed);
  const known = targetNames();
  const listed = new Set(Object.values(FAMILIES).flat());
  const names = FAMILIES[family] ?? known.filter((name) => !listed.has(name));
  const members = names.filter((name) => known.includes(name));
  const lines: string[] = [];
  let failures = 0;
  for (const name of members) {
    const reference = { name, mutant: '', lock: null };
    const target = await resolveTarget(reference);
    if (target.exploreOnly !== undefined) continue;
    const options = { seconds: seconds / members.length, seed, source: sourceOf(reference) };
    const outcome = await runHostTarget(target, hostSize(target), options);
    if (outcome.kind === 'failed') failures++;
    if (outcome.tally.lostWakes > 0) failures++;
    const lost =
      outcome.tally.lostWakes > 0 ? [`${outcome.tally.lostWakes} lost wake-ups !!!`] : [];
    lines.push(...[...outcome.lines, ...lost].map((line) => `${name}: ${line}`));
  }
  return { lines, failures };
}

async function soakStage2(seconds: number, seed: number): Promise<SoakReport> {
  const spec = await resolveSpecification({
    workload: 'dirty_log_perf_test',
    assignments: ['b=256K'],
    cpus: '5',
    engine: 'host',
    time: `${seconds}s`,
    seed: String(seed),
    check: true,
  });
  const signal = new AbortController().signal;
  const { result } = await runSpecification(spec, { signal, progress: null });
  const failed = result.checks.some(({ ok }) => !ok) || result.stall !== undefined;
  const faults = result.counters['fault.count'];
  const time = formatPs(Math.round((result.wallNs! / 1e9) * PS_PER_S));
  const words = `${result.seeds.length} runs, ${faults} faults in ${time}`;
  return { lines: [`${STAGE2}: ${words}${failed ? ' !!!' : ''}`], failures: failed ? 1 : 0 };
}
