/** Dispatch: which command, its help, its failure. */

import yargs from 'yargs';
import { ExitCode, exitCodeOf, UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import { didYouMean } from '../base/suggest.ts';
import type { Command } from './command.ts';
import { compareCommand } from './compare.ts';
import { listCommand } from './list.ts';
import { machineCommand } from './machine.ts';
import { type Arguments, checkArguments, checkSwitch, type Option } from './options.ts';
import { runCommand } from './run.ts';
import { stressCommand } from './stress.ts';
import { note, print } from './terminal.ts';

const COMMANDS: readonly Command[] = [
  runCommand,
  compareCommand,
  listCommand,
  machineCommand,
  stressCommand,
];

const RESERVED = ['report', 'sweep', 'worker', 'trace', 'results', 'why', 'sensitivity', 'bisect'];

export async function main(argv: readonly string[]): Promise<ExitCode> {
  try {
    return await dispatch(argv);
  } catch (error) {
    return reportFailure(error);
  }
}

async function dispatch(argv: readonly string[]): Promise<ExitCode> {
  const [word, ...rest] = argv;
  if (word === '--version' || word === '-V') {
    const { packageVersion } = await import('../run/build.ts');
    print(packageVersion());
    return ExitCode.Done;
  }
  if (word === undefined || word === '--help' || word === '-h' || word === 'help') {
    const topic = word === 'help' ? rest[0] : undefined;
    print(topic === undefined ? generalHelp() : await commandHelp(commandNamed(topic), []));
    return ExitCode.Done;
  }
  const command = commandNamed(word);
  const parsed = parse(command, rest);
  if (parsed.wantsHelp) {
    print(await commandHelp(command, rest));
    return ExitCode.Done;
  }
  return withInterrupts((signal) => command.run(parsed.args, signal));
}

function commandNamed(word: string): Command {
  const command = COMMANDS.find(({ name }) => name === word);
  if (command !== undefined) return command;
  if (RESERVED.includes(word)) throw new UserError(`${word} is not in this version`);
  if (word.startsWith('-')) {
    throw new UserError(`${given(word)} comes before the command; write numalab COMMAND ${word}`);
  }
  const names = COMMANDS.map(({ name }) => name);
  const near = didYouMean(word, names) || `; commands are ${names.join(', ')}`;
  throw new UserError(`there is no command ${given(word)}${near}`);
}

function parserOf(command: Command) {
  const parser = yargs([])
    .scriptName('numalab')
    .usage(`numalab ${command.name} ${command.words}\n\n${command.description}`)
    .help(false)
    .version(false)
    .exitProcess(false)
    .parserConfiguration({
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'boolean-negation': false,
      'camel-case-expansion': false,
    })
    .option('help', { alias: 'h', type: 'boolean', description: 'this text' });
  for (const option of command.options) parser.option(option.name, describe(option));
  return parser.wrap(100);
}

/** Every option with a value is a string to yargs; see options.ts. */
function describe(option: Option) {
  const common = {
    description:
      option.value === '' ? option.description : `${option.description} [${option.value}]`,
    ...(option.alias === undefined ? {} : { alias: option.alias }),
  };
  return option.value === ''
    ? { ...common, type: 'boolean' as const }
    : { ...common, type: 'string' as const, requiresArg: false };
}

function parse(command: Command, argv: readonly string[]): { args: Arguments; wantsHelp: boolean } {
  const parsed = parserOf(command).parseSync([...argv]) as Readonly<Record<string, unknown>>;
  const words = (parsed['_'] as readonly unknown[]).map(String);
  if (parsed['help'] !== undefined) {
    checkSwitch('help', parsed['help']);
    return { args: { words, values: new Map(), repeated: new Map() }, wantsHelp: true };
  }
  return { args: checkArguments(parsed, words, command.options, command.name), wantsHelp: false };
}

async function commandHelp(command: Command, argv: readonly string[]): Promise<string> {
  const examples = command.examples.map(([line, what]) => `  ${line}\n      ${what}`);
  const options = await parserOf(command).getHelp();
  const text = examples.length === 0 ? options : [options, '', 'Examples:', ...examples].join('\n');
  const { args } = parse(command, [...argv, '--help']);
  const more = (await command.help?.(args)) ?? '';
  return more === '' ? text : `${text}\n\n${more}`;
}

function generalHelp(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    'numalab: a wind tunnel for NUMA kernel designs',
    '',
    'usage: numalab COMMAND ...',
    '',
    ...COMMANDS.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}`),
    '',
    'examples:',
    '  numalab run                                      the default workload and machine',
    '  numalab compare dirty_log_perf_test faults=exclusive faults=parallel',
    '  numalab list workloads',
    '',
    "'numalab COMMAND --help' says more; --version prints the version.",
    'exit codes: 0 done, 1 bad input, 2 a check failed, 3 emulated deadlock or no progress,',
    '            4 a bug in numalab, 130 interrupted',
  ].join('\n');
}

/** The first Ctrl-C ends the run in order, a second one at once. */
async function withInterrupts(
  action: (signal: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(ExitCode.Interrupted);
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    return await action(controller.signal);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

function reportFailure(error: unknown): ExitCode {
  const code = exitCodeOf(error);
  const failure = error instanceof Error ? error : new Error(String(error));
  if (code !== ExitCode.Bug) {
    note(`numalab: ${failure.message}`);
    return code;
  }
  note(`numalab: bug: ${failure.message}`);
  const frames = (failure.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  if (frames.length > 0) note(frames.join('\n'));
  note('Please report this together with the lines above.');
  return code;
}
