/** numalab list: what there is to choose from. */

import { ExitCode, UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import { didYouMean } from '../base/suggest.ts';
import type { Command } from './command.ts';
import { type Arguments, LIST_OPTIONS } from './options.ts';
import { print, printJson } from './terminal.ts';

interface Entry {
  readonly name: string;
  readonly description: string;
  readonly [field: string]: unknown;
}

const LISTS: Readonly<Record<string, () => Promise<readonly Entry[]>>> = {
  workloads,
  machines,
  profiles,
  locks,
  variants,
  metrics,
  targets,
  strategies,
  oracles,
  mutants,
};

export const listCommand: Command = {
  name: 'list',
  words:
    'workloads|machines|profiles|locks|variants|metrics|targets|strategies|oracles|mutants' +
    ' | params WORKLOAD',
  description: 'list what there is to choose from',
  options: LIST_OPTIONS,
  examples: [
    ['numalab list workloads', 'all workloads, one line each'],
    ['numalab list params dirty_log_perf_test', 'keys of a workload with defaults and ranges'],
    ['numalab list machines --json', 'as data'],
  ],
  run,
};

async function run(args: Arguments): Promise<ExitCode> {
  const [what, ...rest] = args.words;
  const known = [...Object.keys(LISTS), 'params'];
  if (what === undefined) throw new UserError(`list what? One of ${known.join(', ')}`);
  if (what === 'params') return listParameters(args, rest);
  const list = Object.hasOwn(LISTS, what) ? LISTS[what] : undefined;
  if (list === undefined) {
    const near = didYouMean(what, known) || `; one of ${known.join(', ')}`;
    throw new UserError(`there is no list of ${given(what)}${near}`);
  }
  if (rest.length > 0)
    throw new UserError(`list ${what} takes nothing more, not ${given(rest[0]!)}`);
  const entries = await list();
  if (args.values.has('json')) printJson(entries);
  else if (args.values.has('names')) print(entries.map(({ name }) => name).join('\n'));
  else if (what === 'locks') print(await locksAndObjects(entries));
  else if (what === 'oracles') print(oracleTable(entries));
  else print(entryTable(entries));
  return ExitCode.Done;
}

async function listParameters(args: Arguments, words: readonly string[]): Promise<ExitCode> {
  const [workload, extra] = words;
  if (workload === undefined || extra !== undefined) {
    throw new UserError('list params needs one workload: numalab list params WORKLOAD');
  }
  const { parameterGroups, parametersJson, parametersText } = await import('./list-parameters.ts');
  if (args.values.has('json')) {
    printJson(await parametersJson(workload));
  } else if (args.values.has('names')) {
    const groups = await parameterGroups(workload);
    print(groups.flatMap(({ parameters }) => parameters.map(({ name }) => name)).join('\n'));
  } else {
    print(await parametersText(workload));
  }
  return ExitCode.Done;
}

function entryTable(entries: readonly Entry[]): string {
  if (entries.length === 0) return 'none';
  const width = Math.max(...entries.map(({ name }) => name.length));
  return entries.map(({ name, description }) => `${name.padEnd(width)}  ${description}`).join('\n');
}

function oracleTable(entries: readonly Entry[]): string {
  const rows = entries.map(({ name, engines, description }) => {
    const where = (engines as readonly string[]).join(' ').padEnd('explore host virtual'.length);
    return { name, description: `${where}  ${description}` };
  });
  return `${entryTable(rows)}\n\nvirtual: under run --check, by rules of its own; others: stress`;
}

async function workloads(): Promise<readonly Entry[]> {
  const { loadWorkload, workloadNames } = await import('../../workloads/registry.ts');
  const all = await Promise.all(workloadNames().map(loadWorkload));
  return all.map(({ name, description, source, defaultMachine, seedMoves, runsOnX86 }) => ({
    name,
    description,
    source,
    defaultMachine,
    seedMoves,
    runsOnX86,
  }));
}

async function machines(): Promise<readonly Entry[]> {
  const { machineSummary } = await import('../machine/catalog.ts');
  return machineSummary().map((machine) => ({
    ...machine,
    description: [machine.architecture, shape(machine), machine.description].join(', '),
  }));
}

function shape({ nodes, cpus }: { nodes: number; cpus: number }): string {
  return `${nodes} ${nodes === 1 ? 'node' : 'nodes'}, ${cpus} CPUs`;
}

async function profiles(): Promise<readonly Entry[]> {
  const { bundledProfiles } = await import('../run/profile.ts');
  return bundledProfiles().map(({ name, description, machine, parts }) => ({
    name,
    description,
    machine: machine ?? null,
    parts: parts.map(({ label, workload, cpus }) => ({ label, workload, cpus })),
  }));
}

async function locks(): Promise<readonly Entry[]> {
  return (await import('./list-locks.ts')).lockEntries();
}

/** Locks, then what is shared and is no lock: nothing takes the names of those as an argument. */
async function locksAndObjects(locks: readonly Entry[]): Promise<string> {
  const { OBJECTS } = await import('../sync/objects.ts');
  const { KERNEL_OBJECTS } = await import('../kernel/objects.ts');
  const objects = Object.entries({ ...OBJECTS, ...KERNEL_OBJECTS }).map(
    ([name, { description }]) => ({ name, description }),
  );
  const { locksText } = await import('./list-locks.ts');
  return `${locksText(locks)}\n\nno locks, but shared as they are:\n${entryTable(objects)}`;
}

async function variants(): Promise<readonly Entry[]> {
  const { LIKE_DESCRIPTIONS } = await import('../kernel/like.ts');
  const { kernelOptionTables } = await import('../run/kernel-options.ts');
  const entries: Entry[] = LIKE_DESCRIPTIONS.map(({ name, description }) => ({
    name: `--like ${name}`,
    description,
  }));
  for (const parameter of kernelOptionTables()) {
    const values = Object.entries(parameter.follows ?? {});
    if (values.length === 0) values.push(['', parameter.description]);
    for (const [value, follows] of values) {
      const name = value === '' ? parameter.name : `${parameter.name}=${value}`;
      entries.push({ name, description: follows, option: parameter.name, value });
    }
  }
  return entries;
}

async function metrics(): Promise<readonly Entry[]> {
  const { COUNTERS, METRICS } = await import('../metrics/definition.ts');
  return [
    ...METRICS.map((metric) => ({ kind: 'metric', ...metric })),
    ...COUNTERS.map((counter) => ({ kind: 'counter', ...counter })),
  ];
}

async function targets(): Promise<readonly Entry[]> {
  const { resolveTarget, targetNames, targetOptions } = await import('../stress/registry.ts');
  const all = await Promise.all(
    targetNames().map((name) => resolveTarget({ name, mutant: '', lock: null })),
  );
  return all.map(({ name, group, description, smallest, usual, goals }) => ({
    name,
    group,
    description: [description, ...targetOptions(name).map(optionText)].join('; '),
    options: targetOptions(name),
    smallest,
    usual,
    goals,
  }));
}

function optionText({ name, values }: { name: string; values: readonly string[] }): string {
  return `${name}=${values.join('|')}`;
}

async function strategies(): Promise<readonly Entry[]> {
  const { STRATEGY_DESCRIPTIONS } = await import('../stress/strategies.ts');
  return Object.entries(STRATEGY_DESCRIPTIONS).map(([name, description]) => ({
    name,
    description,
  }));
}

async function oracles(): Promise<readonly Entry[]> {
  const { ORACLES } = await import('../stress/oracles/catalogue.ts');
  return ORACLES.map((oracle) => ({ ...oracle }));
}

async function mutants(): Promise<readonly Entry[]> {
  const { CONTROLS, MUTANTS } = await import('../stress/mutants/catalogue.ts');
  return [...MUTANTS, ...CONTROLS].map(
    ({ id, name, change, model, oracles: expected, notHere }) => ({
      name: id,
      description: `${name}: ${change} (${notHere ?? model})`,
      model,
      oracles: expected,
      notHere: notHere ?? null,
    }),
  );
}
