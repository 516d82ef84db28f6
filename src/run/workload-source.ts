/**
 * From the word on the command line to a workload: a name of the registry, the path of a profile
 * (YAML), or the path of a module of the user's own that exports a Workload. Worker threads find
 * the same workload again by its WorkloadReference.
 */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isWorkload, loadWorkload } from '../../workloads/registry.ts';
import type { Workload } from '../../workloads/workload.ts';
import { assert } from '../base/assert.ts';
import { UserError } from '../base/errors.ts';
import { combineParts } from './combined-workload.ts';
import { readUserFile } from './read-user-file.ts';
import { sha256Hex } from './run-id.ts';
import type { WorkloadReference } from './task.ts';
import { importUserLock } from './user-lock-file.ts';

export function isPath(word: string): boolean {
  return word.includes('/') || /\.(ya?ml|m?js)$/.test(word);
}

export function isProfilePath(word: string): boolean {
  return /\.ya?ml$/.test(word);
}

/** By name or by module; profiles are read by profile.ts. */
export async function referenceOf(word: string): Promise<WorkloadReference> {
  if (!isPath(word)) {
    if (!isWorkload(word)) await loadWorkload(word);
    return { name: word, url: '', parts: [] };
  }
  const path = resolve(word);
  readUserFile(path, word);
  const url = pathToFileURL(path).href;
  const workload = await importWorkload(url, word);
  return { name: workload.name, url, parts: [] };
}

export async function loadReference(reference: WorkloadReference): Promise<Workload> {
  if (reference.parts.length > 0) {
    const workloads = await Promise.all(
      reference.parts.map((part) => loadReference(part.workload)),
    );
    return combineParts(reference.name, reference.parts, workloads, reference.blocksPerEntry);
  }
  const workload =
    reference.url === ''
      ? await loadWorkload(reference.name)
      : await importWorkload(reference.url, reference.name);
  if (reference.trace !== undefined) {
    assert(workload.withTrace !== undefined, `${workload.name} takes no trace`);
    return workload.withTrace(reference.trace);
  }
  if (reference.lock === undefined) return workload;
  assert(workload.withLock !== undefined, `${workload.name} takes no lock from a file`);
  return workload.withLock(reference.lock.file, await importUserLock(reference.lock));
}

async function importWorkload(url: string, word: string): Promise<Workload> {
  let module: Readonly<Record<string, unknown>>;
  try {
    module = (await import(url)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new UserError(`${word}: cannot be loaded: ${firstLine((error as Error).message)}`);
  }
  const workload = Object.values(module).find(looksLikeWorkload);
  if (workload === undefined) {
    throw new UserError(`${word}: exports no workload (an object with name, boot and program)`);
  }
  return workload;
}

function looksLikeWorkload(value: unknown): value is Workload {
  if (typeof value !== 'object' || value === null) return false;
  const candidate = value as Partial<Workload>;
  return (
    typeof candidate.name === 'string' &&
    typeof candidate.boot === 'function' &&
    typeof candidate.program === 'function'
  );
}

/** Content hashes of the files that decide a result. */
export function hashUserFiles(paths: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    paths.map((path) => [path, sha256Hex(readUserFile(resolve(path), path))]),
  );
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!;
}
