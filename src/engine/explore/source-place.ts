/**
 * Who called the engine: the function and the source line, from a stack trace. Compiled files are
 * mapped back to their source when a source map lies beside them.
 */

import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Caller {
  /** Name of the innermost function outside of the engine, without its object. */
  readonly name: string;
  /** "src/sync/mcs.ts:54", relative to the working directory. */
  readonly place: string;
}

const FRAMES_MAX = 20;
const ENGINE = /[\\/]engine[\\/]explore[\\/](?!.*\.test\.)/;
/** What stands between a user's own lock and the CPU (src/sync). */
const GUARD = /[\\/]sync[\\/]user-(cpu|lock)\./;
const FRAME = /^\s*at (?:(?:async |new )?(.+?) \()?((?:file:\/\/|[A-Za-z]:|\/).*?):(\d+):(\d+)\)?$/;

export function callerOutsideEngine(): Caller {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES_MAX;
  const lines = (new Error().stack ?? '').split('\n');
  Error.stackTraceLimit = limit;
  for (const line of lines) {
    const match = FRAME.exec(line);
    if (match === null) continue;
    const [, name = 'program', file, row, column] = match;
    if (isEngine(file!)) continue;
    return { name: plainName(name), place: placeOf(file!, Number(row), Number(column)) };
  }
  return { name: 'program', place: '' };
}

/** Tests of the engine, which lie in a folder of its name, are outside. */
function isEngine(file: string): boolean {
  return GUARD.test(file) || (ENGINE.test(file) && !/[\\/]test[\\/]/.test(file));
}

/** "Object.acquire [as next]" is acquire. */
function plainName(name: string): string {
  const bare = name.replace(/ \[as .*\]$/, '');
  return bare.slice(bare.lastIndexOf('.') + 1) || 'program';
}

function placeOf(file: string, row: number, column: number): string {
  const path = file.startsWith('file://') ? fileURLToPath(file) : file;
  const mapped = throughMap(path, row, column);
  return `${relative(process.cwd(), mapped.path)}:${mapped.row}`;
}

function throughMap(path: string, row: number, column: number): { path: string; row: number } {
  let map: SourceMap;
  try {
    map = new SourceMap(JSON.parse(readFileSync(`${path}.map`, 'utf8')));
  } catch {
    return { path, row };
  }
  const entry = map.findEntry(row - 1, column - 1);
  if (!('originalSource' in entry)) return { path, row };
  const { originalSource, originalLine } = entry;
  return { path: resolve(dirname(path), originalSource), row: originalLine + 1 };
}
