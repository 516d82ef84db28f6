/** `numalab stress --replay STRING|@FILE`: the string against the command line, then the run. */

import { UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import { buildId } from '../run/build.ts';
import { readUserFile } from '../run/read-user-file.ts';
import { isLockFile, openUserLock } from '../run/user-lock-file.ts';
import type { CampaignSetup, ReplayTask, TargetReference } from './campaign-task.ts';
import { USER_HASH_LENGTH } from './explain-failure.ts';
import { StressPool } from './pool.ts';
import { nameWithOptions, resolveTarget, targetsNamed } from './registry.ts';
import type { ReplayResult } from './replay.ts';
import { checkReplay, decodeReplay, type ReplayRecord } from './replay-string.ts';
import { commandOf } from './report.ts';
import { parseModel, type StressRequest, splitWords } from './request.ts';
import { STEP_LIMIT } from './run-target.ts';

export interface Replayed {
  readonly record: ReplayRecord;
  readonly result: ReplayResult;
  /** What is not as it was when the string was made, one line each. */
  readonly warnings: readonly string[];
  /** "numalab stress ticket". */
  readonly command: string;
}

export async function runReplay(
  text: string,
  request: StressRequest,
  signal: AbortSignal,
): Promise<Replayed> {
  const record = decodeReplay(text.startsWith('@') ? textOf(text.slice(1)) : text);
  const reference = await referenceOf(record, request, signal);
  const warnings: string[] = [];
  if (record.build !== buildId()) {
    warnings.push(`the replay string is of another build (${record.build}, this is ${buildId()})`);
  }
  if (reference.lock !== null) {
    const hash = reference.lock.sha256.slice(0, USER_HASH_LENGTH);
    if (hash !== record.userHash) warnings.push(`${reference.lock.file} has changed since then`);
  }
  const setup: CampaignSetup = {
    target: reference,
    size: { cpus: record.cpus, operations: record.operations },
    model: record.model,
    strategy: 'mix',
    seed: record.seed,
    stepLimit: STEP_LIMIT,
    oracles: [],
  };
  const pool = new StressPool(1);
  try {
    pool.reset();
    const task: ReplayTask = { kind: 'replay', setup, record, worker: 0, shared: pool.shared };
    const [result] = await pool.together<ReplayResult>([task], setup, signal);
    return { record, result: result!, warnings, command: commandOf(reference) };
  } finally {
    await pool.destroy();
  }
}

function textOf(path: string): string {
  if (path === '') throw new UserError('--replay: @ needs the name of a file: --replay @FILE');
  return readUserFile(path, path, 1 << 20).toString('utf8');
}

async function referenceOf(
  record: ReplayRecord,
  request: StressRequest,
  signal: AbortSignal,
): Promise<TargetReference> {
  const { word, mutant, options } = splitWords(request.words);
  const expectation = {
    mutant: mutant === '' && word === undefined ? undefined : mutant,
    cpus: countOf(request.cpus),
    operations: countOf(request.operations),
    model: request.memoryModel === undefined ? undefined : parseModel(request.memoryModel),
  };
  if (word !== undefined && isLockFile(word)) {
    const lock = await openUserLock(word, signal);
    checkReplay(record, { ...expectation, target: lock.name });
    return { name: lock.name, mutant: '', lock };
  }
  const target = word === undefined || mutant !== '' ? undefined : targetOf(word, options);
  checkReplay(record, { ...expectation, target });
  if (record.userHash !== '') {
    throw new UserError(
      `--replay: the replay string is of the lock '${record.target}' in a file; ` +
        'name it: numalab stress ./FILE --replay ...',
    );
  }
  const reference = { name: record.target, mutant: record.mutant, lock: null };
  await resolveTarget(reference);
  return reference;
}

function targetOf(word: string, options: readonly string[]): string {
  const names = targetsNamed(word);
  if (names.length === 1) return nameWithOptions(names[0]!, options);
  throw new UserError(`--replay: a replay string is of one target, not of ${given(word)}`);
}

/** The value was checked, or will differ from the string's. */
function countOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
