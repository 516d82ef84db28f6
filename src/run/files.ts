/**
 * `--out DIR`: checked before the run, so that hours of work are not lost to a missing right, and
 * written after it, each file whole (a temporary name, then a rename).
 */

import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  rmdirSync,
  type Stats,
  statSync,
} from 'node:fs';
import { rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import type { RunFile } from '../metrics/run-files.ts';

/** Refuses what cannot become the output folder; leaves nothing behind. */
export function checkOutputFolder(folder: string, force: boolean): void {
  const path = resolve(folder);
  const stats = statOf(path);
  if (stats === undefined) {
    const [first] = missingFolders(path);
    requireWritable(dirname(first!), folder);
    requireCreatable(first!, folder);
    return;
  }
  if (!stats.isDirectory()) {
    throw new UserError(`--out: ${given(folder)} is a file; name a folder`);
  }
  if (readdirSync(path).length > 0 && !force) {
    throw new UserError(
      `--out: ${given(folder)} exists and is not empty; name another folder or add --force`,
    );
  }
  requireWritable(path, folder);
}

/** The folder and those above it that do not exist yet, outermost first. */
function missingFolders(path: string): string[] {
  const missing: string[] = [];
  for (let at = path; statOf(at) === undefined; at = dirname(at)) missing.unshift(at);
  return missing;
}

/** Some file systems (/proc) take no folders, whatever their rights say. */
function requireCreatable(path: string, folder: string): void {
  try {
    mkdirSync(path);
    rmdirSync(path);
  } catch (error) {
    throw cannotWrite(folder, error);
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function requireWritable(path: string, folder: string): void {
  if (!statSync(path).isDirectory()) {
    throw new UserError(`--out: ${given(folder)} lies below the file ${path}; name a folder`);
  }
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch {
    throw new UserError(`--out: ${given(folder)} cannot be written (no permission in ${path})`);
  }
}

/** Creates the folder if need be. Every file is written before the first gets its name. */
export async function writeOutput(folder: string, files: readonly RunFile[]): Promise<void> {
  const path = resolve(folder);
  const temporary = (file: RunFile): string => join(path, `.${file.name}.${process.pid}.tmp`);
  const made = missingFolders(path);
  try {
    // Not `recursive`: Node.js tries for ever where a file system takes no folders.
    for (const each of made) mkdirSync(each);
    for (const file of files) await writeFile(temporary(file), file.text, { flush: true });
    for (const file of files) await rename(temporary(file), join(path, file.name));
  } catch (error) {
    for (const file of files) await rm(temporary(file), { force: true }).catch(() => {});
    for (const each of made.toReversed()) await rmdir(each).catch(() => {});
    throw cannotWrite(folder, error);
  }
}

function cannotWrite(folder: string, error: unknown): UserError {
  return new UserError(`--out: ${given(folder)}: ${reason(error as NodeJS.ErrnoException)}`);
}

function reason(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no space left on the disk; nothing was written';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'cannot be written (no permission)';
    case 'ENOENT':
    case 'ENOTSUP':
      return 'no folder can be made there';
    case 'ENAMETOOLONG':
      return 'the name is too long';
    default:
      return error.message.split('\n', 1)[0]!;
  }
}
