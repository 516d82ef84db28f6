/**
 * `npm run mutants [-- --json] [ID...]`: how many seeded mistakes each strategy and oracle finds,
 * and that nothing else is called a mistake. Prints the table and writes test/reports/mutants.md.
 * Exits with 2 unless every mutant of sc and tso that is here is killed by an oracle that is
 * expected to, in a short schedule with few preemptions that another process replays, and
 * everything else stays silent.
 *
 * The ids split over two worker threads; each mutant has its own seeds, so that the table is the
 * same for any number of threads (the seconds apart).
 */

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { packageRoot } from '../base/package-root.ts';
import { CONTROLS, MUTANTS } from './mutants/catalogue.ts';
import type { MutantScore } from './mutants/score.ts';
import { asJson, asMarkdown, asText } from './mutants/score-table.ts';
import { replayedElsewhere, scoreAndShorten } from './mutants/shorten-mutant.ts';

const USAGE = 'usage: npm run mutants -- [--json] [ID...]';
const THREADS_MAX = 2;

async function main(argv: readonly string[]): Promise<number> {
  const known = [...MUTANTS, ...CONTROLS].map(({ id }) => id);
  const ids = argv.filter((word) => !word.startsWith('-'));
  const unknown = argv.find((word) =>
    word.startsWith('-') ? word !== '--json' : !known.includes(word),
  );
  if (unknown !== undefined) {
    process.stderr.write(
      `mutants: '${unknown}' is unknown; ids are ${known.join(', ')}\n${USAGE}\n`,
    );
    return 1;
  }
  const startMs = performance.now();
  const scores = replayed(await scoreAll(ids.length > 0 ? ids : known));
  const seconds = (performance.now() - startMs) / 1000;
  if (ids.length === 0) {
    writeFileSync(new URL('test/reports/mutants.md', packageRoot()), asMarkdown(scores));
  }
  const text = argv.includes('--json') ? asJson(scores, seconds) : asText(scores, seconds);
  process.stdout.write(`${text}\n`);
  return scores.every(({ right }) => right) ? 0 : 2;
}

/** Every short schedule has to fail the same way in another process. */
function replayed(scores: readonly MutantScore[]): MutantScore[] {
  const replays = scores.flatMap(({ short }) => (short === undefined ? [] : [short.replay]));
  const signatures = replays.length === 0 ? [] : [...replayedElsewhere(replays)];
  return scores.map((score) => {
    if (score.short === undefined) return score;
    const signature = signatures.shift();
    if (signature === score.short.signature) return score;
    return { ...score, right: false, said: `its replay came to ${signature}` };
  });
}

/** Each worker takes the next id that nobody has; scores come back in the order of ids. */
async function scoreAll(ids: readonly string[]): Promise<MutantScore[]> {
  const scores = new Map<string, MutantScore>();
  const left = [...ids];
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: 'mutants' });
      const next = (): void => {
        const id = left.shift();
        if (id === undefined) void worker.terminate().then(() => resolve());
        else worker.postMessage(id);
      };
      worker.on('message', (score: MutantScore) => {
        scores.set(score.id, score);
        process.stderr.write(`${score.id} ${score.verdict}\n`);
        next();
      });
      worker.on('error', reject);
      next();
    });
  const threads = Math.min(THREADS_MAX, availableParallelism(), ids.length);
  await Promise.all(Array.from({ length: threads }, one));
  return ids.map((id) => scores.get(id)!);
}

if (isMainThread) {
  process.exitCode = await main(process.argv.slice(2));
} else if (workerData === 'mutants') {
  parentPort!.on('message', (id: string) => {
    const mutant = [...MUTANTS, ...CONTROLS].find((candidate) => candidate.id === id)!;
    void scoreAndShorten(mutant).then((score) => parentPort!.postMessage(score));
  });
}
