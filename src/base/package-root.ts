/**
 * The folder of numalab's own package.json. Data files (machine profiles, workload profiles, schema
 * files) lie at fixed places below it, while this module runs from src/ in tests and from dist/src/
 * when installed: so the way up is searched, not counted.
 */

import { existsSync } from 'node:fs';
import { BugError } from './errors.ts';

const DEPTH_MAX = 16;

export function packageRoot(): URL {
  let folder = new URL('./', import.meta.url);
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (existsSync(new URL('package.json', folder))) return folder;
    folder = new URL('../', folder);
  }
  throw new BugError(`no package.json above ${import.meta.url}`);
}
