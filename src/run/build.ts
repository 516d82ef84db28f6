/**
 * Which numalab this is: the version of package.json, and a hash over the program's own files, so
 * that results of two states of the code are never taken for one another. (The build is printed and
 * stored; it is no part of a runId.)
 */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { packageRoot } from '../base/package-root.ts';

/** The checkout itself, or dist. */
const PROGRAM_ROOT = new URL('../../', import.meta.url);

export function packageVersion(): string {
  const text = readFileSync(new URL('package.json', packageRoot()), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** First 12 digits of the SHA-256 over names and contents of all program files. */
export function buildId(): string {
  const hash = createHash('sha256');
  for (const room of ['src/', 'workers/', 'workloads/'])
    hashFiles(new URL(room, PROGRAM_ROOT), hash);
  return hash.digest('hex').slice(0, 12);
}

function hashFiles(folder: URL, hash: ReturnType<typeof createHash>): void {
  const entries = readdirSync(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.isDirectory()) hashFiles(new URL(`${entry.name}/`, folder), hash);
    else if (/(?<!\.d)\.[jt]s$/.test(entry.name)) {
      hash.update(entry.name).update(readFileSync(new URL(entry.name, folder)));
    }
  }
}
