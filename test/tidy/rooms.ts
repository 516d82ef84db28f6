/**
 * The rooms of the house and who may know whom. A room may import from the rooms listed for it and
 * from itself; everything else is a wrong arrow. Adding a room means adding a line here.
 */

import type { SourceFile } from './project.ts';

/** Names and numbers without behaviour: what a CPU operation is called, what is measured. */
const BELOW_CPU = ['base', 'machine', 'memory', 'cache', 'translation'];
const KERNEL_SIDE = [...BELOW_CPU, 'cpu', 'metrics', 'sync'];

export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  machine: ['base'],
  memory: ['base', 'machine'],
  cache: ['base', 'machine', 'memory'],
  translation: ['base', 'machine', 'memory', 'cache'],
  cpu: BELOW_CPU,
  metrics: ['base'],
  trace: ['base'],
  checkers: [...BELOW_CPU, 'cpu', 'metrics'],
  engine: [...BELOW_CPU, 'cpu', 'metrics', 'checkers'],
  sync: [...BELOW_CPU, 'cpu', 'metrics'],
  kernel: KERNEL_SIDE,
  workloads: [...KERNEL_SIDE, 'kernel', 'trace'],
  report: ['base', 'metrics'],
  compare: ['base', 'metrics', 'report'],
  run: [...KERNEL_SIDE, 'kernel', 'workloads', 'engine', 'checkers', 'report', 'compare', 'trace'],
  stress: [...KERNEL_SIDE, 'kernel', 'workloads', 'engine', 'checkers', 'run', 'report'],
  commands: [...KERNEL_SIDE, 'kernel', 'workloads', 'run', 'stress', 'report', 'compare'],
  workers: ['base', 'engine', 'run', 'stress', 'trace'],
};

/** Vocabulary of the CPU operations: any room from translation upwards may use these. */
const VOCABULARY = new Set(['src/cpu/operations.ts', 'src/cpu/cpu.ts', 'src/cpu/per-cpu.ts']);
const USES_VOCABULARY = new Set(['translation', 'cache']);

/** What the vocabulary itself may import: other vocabulary, as types. */
const VOCABULARY_IMPORTS = new Set([...VOCABULARY, 'src/machine/costs.ts']);

/** src/cli.ts and src/index.ts stand above the rooms. */
const ABOVE_ROOMS = new Set(['src/cli.ts', 'src/index.ts']);

/** Rooms of the emulated machine and what runs on it: no packages, no modules of Node. */
export const PURE_ROOMS = ['memory', 'cache', 'translation', 'cpu', 'sync', 'kernel', 'workloads'];

/** Room of a path; null: tests, and files above the rooms. */
export function roomOf(path: string): string | null {
  const [top, second, third] = path.split('/');
  if (top === 'workers' || top === 'workloads') return top;
  if (top !== 'src' || third === undefined) return null;
  return second!;
}

export function wrongArrows(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const room = roomOf(file.path);
    if (room === null) return [];
    return file.imports.flatMap(({ path, specifier, line }) => {
      const where = `${file.path}:${line}`;
      if (path === null) {
        return PURE_ROOMS.includes(room)
          ? [`${where}: ${room} is part of the model and imports '${specifier}'`]
          : [];
      }
      if (VOCABULARY.has(file.path) && !VOCABULARY_IMPORTS.has(path))
        return [`${where}: the words of the CPU operations import ${path}`];
      return mayImport(room, path) ? [] : [`${where}: ${room} may not know ${path}`];
    });
  });
}

function mayImport(room: string, path: string): boolean {
  if (ABOVE_ROOMS.has(path)) return false;
  const target = roomOf(path);
  if (target === null) return false;
  if (target === room) return true;
  if (USES_VOCABULARY.has(room) && VOCABULARY.has(path)) return true;
  return ROOMS[room]?.includes(target) ?? false;
}

/** Folders of src that nobody has given a place in the table. */
export function unknownRooms(files: readonly SourceFile[]): string[] {
  const rooms = new Set(files.map(({ path }) => roomOf(path)).filter((room) => room !== null));
  return [...rooms]
    .filter((room) => ROOMS[room] === undefined)
    .map((room) => `src/${room}: not in the table of rooms (test/tidy/rooms.ts)`);
}
