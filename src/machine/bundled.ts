/**
 * The machines that come with numalab: src/machine/profiles/NAME.json, read by URL. They are
 * checked against the schema by tests, not at every start.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import { packageRoot } from '../base/package-root.ts';
import { type Profile, type RawProfile, toProfile } from './profile.ts';

function folder(): URL {
  return new URL('src/machine/profiles/', packageRoot());
}

/** Names of all bundled machines, sorted. */
export function machineNames(): string[] {
  return readdirSync(folder())
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/** `name` must be one of machineNames(). */
export function bundledProfile(name: string, depth = 0): Profile {
  assert(depth < 4, `bundled profile ${name} is its own base`);
  const raw = JSON.parse(readFileSync(new URL(`${name}.json`, folder()), 'utf8')) as RawProfile;
  const base = raw.base === undefined ? undefined : bundledProfile(raw.base, depth + 1);
  return toProfile(raw, name, base);
}
