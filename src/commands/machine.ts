/** numalab machine: print a machine, or make one from what `numactl -H` prints. */

import { basename, extname } from 'node:path';
import { ExitCode, UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import type { Machine } from '../machine/machine.ts';
import type { Command } from './command.ts';
import { type Arguments, MACHINE_OPTIONS } from './options.ts';
import { print, printJson } from './terminal.ts';

/** Where an import takes numbers from that numactl -H does not print. */
const DEFAULT_MODEL = 'graviton4_2p';

export const machineCommand: Command = {
  name: 'machine',
  words: 'show NAME|FILE | import FILE',
  description: 'print an emulated machine, or import one from numactl -H',
  options: MACHINE_OPTIONS,
  examples: [
    ['numalab machine show graviton4_2p', 'every number with its source'],
    ['numalab machine show epyc_rome_2p --format numactl', 'as numactl -H prints it'],
    ['numalab machine show graviton4_2p --json', 'as data'],
  ],
  run,
};

async function run(args: Arguments): Promise<ExitCode> {
  const [what, name, extra] = args.words;
  if (what !== 'show' && what !== 'import') {
    const got = what === undefined ? '' : `, not ${given(what)}`;
    throw new UserError(`machine show NAME or machine import FILE${got}`);
  }
  if (name === undefined || extra !== undefined) {
    throw new UserError(`machine ${what} needs one ${what === 'show' ? 'machine' : 'file'}`);
  }
  return what === 'show' ? show(name, args) : importFile(name, args);
}

async function show(name: string, args: Arguments): Promise<ExitCode> {
  const { loadMachine } = await import('../machine/catalog.ts');
  const format = args.values.has('json') ? 'json' : (args.values.get('format') ?? 'text');
  const machine = loadMachine(name);
  if (format === 'json') {
    printJson(machineJson(machine));
  } else if (format === 'numactl') {
    const { toNumactl } = await import('../machine/numactl.ts');
    print(toNumactl(machine));
  } else if (format === 'text') {
    const { showMachine } = await import('../machine/show.ts');
    print(showMachine(machine));
  } else {
    throw new UserError(`--format: ${given(format)} is none of text, numactl, json`);
  }
  return ExitCode.Done;
}

/** Typed arrays as plain lists; Infinity (no second node) as null. */
function machineJson(machine: Machine): unknown {
  const entries = Object.entries(machine).map(([key, value]) => [
    key,
    ArrayBuffer.isView(value) ? Array.from(value as Float64Array) : value,
  ]);
  return Object.fromEntries(entries);
}

async function importFile(path: string, args: Arguments): Promise<ExitCode> {
  const { fromNumactl } = await import('../machine/numactl-import.ts');
  const { readText } = await import('../machine/document.ts');
  const name = basename(path, extname(path)).replace(/[^\w.-]/g, '_');
  print(fromNumactl(readText(path), args.values.get('machine') ?? DEFAULT_MODEL, name));
  return ExitCode.Done;
}
