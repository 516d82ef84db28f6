/** What a replay came to: the same failure, none any more, or a program that has changed. */

import { ExitCode, UserError } from '../base/errors.ts';
import type { Look } from '../report/color.ts';
import { groupDigits } from '../report/table.ts';
import { buildId, packageVersion } from '../run/build.ts';
import { failureText, sizeText } from './failure-report.ts';
import { STRESS_SCHEMA } from './result-json.ts';
import type { Replayed } from './run-replay.ts';

/** A replay that diverged is bad input: the string is of a program that is not there any more. */
export function replayExit({ result, record }: Replayed): ExitCode {
  if (result.outcome === 'diverged') {
    throw new UserError(
      `--replay: diverged at ${result.divergedAt}; the program is no longer the one that was ` +
        `recorded (${record.signature})`,
    );
  }
  return result.outcome === 'failed' ? ExitCode.CheckFailed : ExitCode.Done;
}

export function replayText({ record, result, command }: Replayed, look: Look): string {
  const { story } = result;
  const { model, seed, signature } = record;
  const what = command.replace('numalab stress ', '');
  const title = `${what}: replay, ${sizeText(sizeOf(record))}, ${model}, seed ${seed}`;
  if (story === null) {
    return [
      title,
      `passed: ${groupDigits(result.steps)} steps, and nothing failed; ` +
        `recorded was ${signature}`,
    ].join('\n');
  }
  const same = story.signature === signature;
  return [
    title,
    same ? `failed again: ${signature}` : `failed otherwise: recorded was ${signature}`,
    '',
    ...failureText(story, `${command} --replay ${story.replay}`, look),
  ].join('\n');
}

export function replayJson({ record, result, warnings, command }: Replayed): unknown {
  return {
    schema: STRESS_SCHEMA,
    version: packageVersion(),
    build: buildId(),
    engine: 'explore',
    replay: { ...record, segments: record.segments.length },
    outcome: result.outcome,
    same: result.story === null ? null : result.story.signature === record.signature,
    steps: result.steps,
    warnings,
    failure: result.story,
    command,
  };
}

function sizeOf({ cpus, operations }: Replayed['record']) {
  return { cpus, operations };
}
