/** numalab stress: looks for a schedule that breaks a lock or a protocol, and replays one. */

import { ExitCode } from '../base/errors.ts';
import type { HostJudged } from '../stress/host-stress.ts';
import type { Judged } from '../stress/report.ts';
import type { StressRequest } from '../stress/request.ts';
import type { Command } from './command.ts';
import { type Arguments, STRESS_OPTIONS } from './options.ts';
import { lookOf, note, print, printJson, progressSink } from './terminal.ts';

export const stressCommand: Command = {
  name: 'stress',
  words: 'TARGET|all|locks|protocols|./my-lock.mjs [mutant=ID]',
  description: 'look for a schedule that breaks a lock or a protocol; replay one',
  options: STRESS_OPTIONS,
  examples: [
    ['numalab stress ticket', 'one lock: 20,000 schedules, and what a pass is worth'],
    ['numalab stress locks --schedules 2000', 'every lock, one line each'],
    ['numalab stress ticket --engine host --time 60s', 'soak on real threads'],
    ['numalab stress ticket --strategy pct --time 5s -c 4', 'for 5 s, by one strategy'],
  ],
  run,
  help: async () =>
    'A lock of your own is a file that exports name, wordBytes, function* acquire(cpu, hi, lo)\n' +
    'and function* release(cpu, hi, lo), and imports nothing: constants are in cpu.api.\n' +
    'The README has an example.',
};

async function run(args: Arguments, signal: AbortSignal): Promise<ExitCode> {
  const request = requestOf(args);
  const replay = args.values.get('replay');
  if (request.engine === 'host' && replay === undefined) return onHost(request, args, signal);
  return replay === undefined
    ? stress(request, args, signal)
    : replayed(replay, request, args, signal);
}

function requestOf({ words, values }: Arguments): StressRequest {
  return {
    words,
    engine: values.get('engine'),
    strategy: values.get('strategy'),
    memoryModel: values.get('memory-model'),
    oracle: values.get('oracle'),
    schedules: values.get('schedules'),
    time: values.get('time'),
    operations: values.get('ops'),
    cpus: values.get('cpus'),
    jobs: values.get('jobs'),
    seed: values.get('seed'),
    keepGoing: values.has('keep-going'),
  };
}

async function stress(
  request: StressRequest,
  { values }: Arguments,
  signal: AbortSignal,
): Promise<ExitCode> {
  const look = lookOf(values.get('color'));
  const { resolveStress } = await import('../stress/request.ts');
  const { runStress } = await import('../stress/run-stress.ts');
  const { summaryLine, targetText, titleOf } = await import('../stress/report.ts');
  const { ProgressLine } = await import('../stress/progress-line.ts');
  const plan = await resolveStress(request, signal);
  const isJson = values.has('json');
  const line = new ProgressLine(progressSink(values.has('quiet')));
  const width = Math.max(...plan.targets.map(({ setup }) => titleOf(setup.target).length));
  const listener = {
    progress: (title: string, schedules: number, seconds: number) =>
      line.draw(title, schedules, seconds),
    judged: (judged: Judged) => {
      line.clear();
      if (isJson) return;
      if (plan.isGroup) print(summaryLine(judged, width, look));
      if (!plan.isGroup || judged.stories.length > 0) print(targetText(judged, look));
    },
  };
  try {
    const all = await runStress(plan, listener, signal);
    if (isJson) {
      const { stressJson } = await import('../stress/result-json.ts');
      printJson(stressJson(plan, all));
    } else if (plan.isGroup) {
      const { groupSummary } = await import('../stress/report.ts');
      print(groupSummary(all, plan.targets.length));
    }
    const bad = all.some(({ meaning }) => ['failed', 'vacuous'].includes(meaning.verdict));
    return bad ? ExitCode.CheckFailed : ExitCode.Done;
  } finally {
    line.clear();
  }
}

/** Soak on real threads. */
async function onHost(
  request: StressRequest,
  { values }: Arguments,
  signal: AbortSignal,
): Promise<ExitCode> {
  const host = await import('../stress/host-stress.ts');
  const isJson = values.has('json');
  const isGroup = ['all', 'locks', 'protocols'].includes(request.words[0] ?? '');
  const judged = (one: HostJudged): void => {
    if (!isJson && isGroup) print(host.hostSummaryLine(one));
  };
  const all = await host.runHostStress(request, { judged, signal });
  if (isJson) printJson(host.hostStressJson(all));
  const told = isJson ? [] : all.filter(({ outcome }) => !isGroup || outcome.kind === 'failed');
  for (const one of told) print(await host.hostTargetText(one));
  return all.some(({ outcome }) => outcome.kind === 'failed')
    ? ExitCode.CheckFailed
    : ExitCode.Done;
}

async function replayed(
  text: string,
  request: StressRequest,
  { values }: Arguments,
  signal: AbortSignal,
): Promise<ExitCode> {
  const look = lookOf(values.get('color'));
  const { runReplay } = await import('../stress/run-replay.ts');
  const { replayExit, replayJson, replayText } = await import('../stress/replay-report.ts');
  const outcome = await runReplay(text, request, signal);
  for (const warning of outcome.warnings) note(`numalab: warning: ${warning}`);
  const exit = replayExit(outcome);
  if (values.has('json')) printJson(replayJson(outcome));
  else print(replayText(outcome, look));
  return exit;
}
