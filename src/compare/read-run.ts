/**
 * Runs from files: a directory that `run --out` wrote (result.json and its .hlog), or an .hlog
 * alone. Whatever is missing or damaged is one line that names the file.
 */

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { loadHdrCodec } from '../metrics/hdr-codec.ts';
import { readHlog } from '../metrics/hlog.ts';
import type { SeedHistograms } from '../metrics/naming.ts';
import type { RunResult } from '../metrics/result.ts';
import { HLOG_FILE, RESULT_FILE } from '../metrics/run-files.ts';
import type { ComparedRun } from './comparison.ts';

/** Is the word of a command line a path (and not a workload)? */
export function isRunPath(word: string): boolean {
  return word.includes('/') || word === '.' || word === '..' || /\.(hlog|json)$/.test(word);
}

/**
 * Does `compare` read results? A bare folder name does for one, unless a variant (with `=`) shows
 * that it is a workload.
 */
export async function areRunPaths(words: readonly string[]): Promise<boolean> {
  const [first, ...rest] = words;
  if (first === undefined || isRunPath(first)) return first !== undefined;
  if (rest.length === 0 || rest.some((word) => word.includes('='))) return false;
  const info = await stat(first).catch(() => null);
  return info?.isDirectory() === true;
}

export async function readRun(path: string): Promise<ComparedRun> {
  const info = await stat(path).catch((error: unknown) => {
    throw new UserError(`${path}: ${reason(error)}; give a directory of run --out or an .hlog`);
  });
  if (!info.isDirectory()) {
    if (!path.endsWith('.hlog')) {
      throw new UserError(`${path}: not an .hlog; give that, or the directory of run --out`);
    }
    return { label: path, result: null, seeds: await readHlogFile(path) };
  }
  const names = await readdir(path);
  if (!names.includes(RESULT_FILE)) {
    throw new UserError(`${path}: no ${RESULT_FILE} in it; give a directory that run --out wrote`);
  }
  const result = await readResult(join(path, RESULT_FILE));
  const logs = names.filter((name) => name.endsWith('.hlog'));
  if (logs.length !== 1 && !logs.includes(HLOG_FILE)) {
    throw new UserError(`${path}: ${logs.length} .hlog files in it, one is expected`);
  }
  const log = logs.includes(HLOG_FILE) ? HLOG_FILE : logs[0]!;
  const seeds = await readHlogFile(join(path, log));
  return { label: path, result, seeds: matchSeeds(path, result, seeds) };
}

async function readHlogFile(path: string): Promise<SeedHistograms[]> {
  return readHlog(await readText(path), path, await loadHdrCodec());
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UserError(`${path}: ${reason(error)}`);
  }
}

async function readResult(path: string): Promise<RunResult> {
  const text = await readText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = (error as Error).message.replace(/\s+/g, ' ');
    throw new UserError(`${path}: damaged JSON (${message}); write it again with run --out`);
  }
  const { runResultSchema } = await import('../metrics/result-schema.ts');
  const parsed = runResultSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const where = issue.path.length === 0 ? 'the whole file' : issue.path.join('.');
  throw new UserError(`${path}: not a result of this version: ${where}: ${issue.message}`);
}

/**
 * Emulated times as result.json has them. A directory put together from two runs would compare
 * what never belonged together.
 */
function matchSeeds(
  path: string,
  result: RunResult,
  seeds: readonly SeedHistograms[],
): SeedHistograms[] {
  if (seeds.length !== result.seeds.length) {
    throw new UserError(
      `${path}: ${RESULT_FILE} has ${result.seeds.length} seeds and the .hlog ${seeds.length};` +
        ' the files are of different runs',
    );
  }
  return seeds.map((own) => {
    const known = result.seeds.find(({ seed }) => seed === own.seed);
    if (known === undefined) {
      throw new UserError(
        `${path}: seed ${own.seed} is in the .hlog but not in ${RESULT_FILE};` +
          ' the files are of different runs',
      );
    }
    return { ...own, emulatedNs: known.emulatedNs ?? own.emulatedNs };
  });
}

function reason(error: unknown): string {
  const code = (error as { code?: string }).code;
  if (code === 'ENOENT') return 'no such file or directory';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'is a directory';
  return (error as Error).message;
}
