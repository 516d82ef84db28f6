/**
 * The options of every command, one table: yargs is told their names, this project checks what it
 * delivers. yargs turns `--cpus abc` into NaN, a repeated option into an array and one without a
 * value into a default, all without a word; so every option with a value is a string to it, and
 * repeats, empty values and unknown names are refused here.
 */

import { UserError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';

export interface Option {
  readonly name: string;
  readonly alias?: string;
  /** What the value is called in the help; '' = a switch without value. */
  readonly value: string;
  readonly default?: string;
  readonly description: string;
}

const COLOR: Option = {
  name: 'color',
  value: 'auto|always|never',
  default: 'auto',
  description: 'colour; auto: only on a terminal (NO_COLOR and FORCE_COLOR are heeded)',
};

const JSON_SWITCH: Option = { name: 'json', value: '', description: 'print one JSON object' };

export const RUN_OPTIONS: readonly Option[] = [
  {
    name: 'machine',
    alias: 'm',
    value: 'NAME|FILE',
    description: 'emulated machine (numalab list machines)',
  },
  {
    name: 'cpus',
    alias: 'c',
    value: 'N|LIST',
    description: 'CPUs that take part, a number or a list such as 0-15,96-111',
  },
  { name: 'seed', alias: 's', value: 'S', default: '1', description: 'seed of all random streams' },
  {
    name: 'repeat',
    alias: 'r',
    value: 'R',
    default: '1',
    description: 'run the seeds S .. S+R-1 and merge them',
  },
  {
    name: 'jobs',
    alias: 'j',
    value: 'auto|J',
    default: 'auto',
    description: 'seeds that run side by side',
  },
  {
    name: 'threads',
    value: 'auto|per-cpu|N',
    default: 'auto',
    description: 'worker threads per seed; never changes a result',
  },
  {
    name: 'engine',
    value: 'virtual|host|explore',
    default: 'virtual',
    description: 'who orders shared operations',
  },
  {
    name: 'time',
    value: 'T',
    description: 'with --engine host: seed after seed until T of wall clock is over (60s)',
  },
  {
    name: 'like',
    value: 'VERSION',
    description: 'kernel options of a version (numalab list variants): v6.5, posted:ktext-v2',
  },
  {
    name: 'set',
    value: 'KEY=VALUE',
    description: 'the same as a bare key=value; may be repeated',
  },
  {
    name: 'out',
    alias: 'o',
    value: 'DIR',
    description: 'write result.json, .hlog and .hgrm there',
  },
  { name: 'force', value: '', description: 'write to --out even if it is not empty' },
  JSON_SWITCH,
  { name: 'quiet', value: '', description: 'no progress' },
  { name: 'check', value: '', description: 'run with all checkers on (slower)' },
  {
    name: 'isolate',
    value: '',
    description: 'a profile again with each of its parts switched off: who disturbs whom',
  },
  { name: 'dry-run', value: '', description: 'print what would run, with memory and time' },
  COLOR,
];

export const STRESS_OPTIONS: readonly Option[] = [
  {
    name: 'engine',
    value: 'explore|host',
    default: 'explore',
    description: 'who orders shared operations',
  },
  {
    name: 'strategy',
    value: 'NAME',
    default: 'mix',
    description: 'who goes next: mix, random, pct, pos, urw, starve, exhaustive',
  },
  {
    name: 'memory-model',
    alias: 'memory',
    value: 'sc|tso',
    default: 'tso',
    description: 'sequentially consistent, or with store buffers (x86-TSO)',
  },
  {
    name: 'oracle',
    value: 'NAME[,NAME]',
    description: 'findings of these alone (numalab list oracles); all unless told',
  },
  {
    name: 'schedules',
    value: 'N',
    description: 'schedules per target; 20000 unless --time is given',
  },
  { name: 'time', value: 'T', description: 'as many schedules as fit, shared by all targets: 60s' },
  { name: 'ops', value: 'N', description: 'operations of each CPU' },
  { name: 'cpus', alias: 'c', value: 'N', description: 'CPUs that take part' },
  {
    name: 'jobs',
    alias: 'j',
    value: 'auto|J',
    default: 'auto',
    description: 'worker threads; with --schedules they never change a result',
  },
  { name: 'seed', alias: 's', value: 'S', default: '1', description: 'seed of all choices' },
  { name: 'keep-going', value: '', description: 'after a failure go on with the other schedules' },
  {
    name: 'replay',
    value: 'STRING|@FILE',
    description: 'run the schedule of a failure again, from its string',
  },
  JSON_SWITCH,
  { name: 'quiet', value: '', description: 'no progress' },
  COLOR,
];

export const LIST_OPTIONS: readonly Option[] = [
  JSON_SWITCH,
  { name: 'names', value: '', description: 'one name per line and nothing else' },
];

export const MACHINE_OPTIONS: readonly Option[] = [
  {
    name: 'format',
    value: 'text|numactl|json',
    default: 'text',
    description: 'how show prints; numactl: as numactl -H does',
  },
  {
    name: 'machine',
    alias: 'm',
    value: 'NAME|FILE',
    description: 'import: where numbers come from that numactl -H does not have',
  },
  { name: 'json', value: '', description: 'the same as --format json' },
  COLOR,
];

/** Options that may be given more than once. */
const REPEATABLE = new Set(['set']);

/** Values by option name, as text; switches are 'on'. */
export interface Arguments {
  readonly words: readonly string[];
  readonly values: ReadonlyMap<string, string>;
  readonly repeated: ReadonlyMap<string, readonly string[]>;
}

/** What yargs delivered, checked against the table. */
export function checkArguments(
  argv: Readonly<Record<string, unknown>>,
  words: readonly string[],
  options: readonly Option[],
  command: string,
): Arguments {
  const names = new Map<string, Option>();
  for (const option of options) {
    names.set(option.name, option);
    if (option.alias !== undefined) names.set(option.alias, option);
  }
  const values = new Map<string, string>();
  const repeated = new Map<string, readonly string[]>();
  for (const [key, value] of Object.entries(argv)) {
    if (IGNORED.has(key) || value === undefined) continue;
    const option = names.get(key);
    if (option === undefined) {
      const dashes = key.length === 1 ? '-' : '--';
      const near = didYouMean(
        key,
        options.map(({ name }) => name),
      );
      const hint = near || `; 'numalab ${command} --help' lists them`;
      throw new UserError(`${command} has no option ${dashes}${key}${hint}`);
    }
    if (key !== option.name) continue;
    if (option.value === '') {
      checkSwitch(option.name, value);
      values.set(option.name, 'on');
    } else if (REPEATABLE.has(option.name)) {
      repeated.set(option.name, valuesOf(value, option));
    } else {
      values.set(option.name, singleValue(value, option));
    }
  }
  return { words, values, repeated };
}

/** Keys that yargs adds: words, program name, and what the command line itself handles. */
const IGNORED = new Set(['_', '$0', 'help', 'h', 'words', '--']);

/** To yargs, `--json=3` is a switch that is off. */
export function checkSwitch(name: string, value: unknown): void {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (all.some((each) => each !== true)) throw new UserError(`--${name} takes no value`);
}

function singleValue(value: unknown, option: Option): string {
  const all = valuesOf(value, option);
  if (all.length > 1) {
    throw new UserError(`--${option.name} is given ${all.length} times; give it once`);
  }
  return all[0]!;
}

function valuesOf(value: unknown, option: Option): readonly string[] {
  const all = (Array.isArray(value) ? value : [value]).map(String);
  if (all.includes('')) {
    throw new UserError(`--${option.name} needs a value: --${option.name} ${option.value}`);
  }
  return all;
}
