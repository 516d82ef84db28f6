/** Machines by name or file: what `--machine` takes, `list machines` and `machine show` print. */

import { existsSync } from 'node:fs';
import { UserError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import { bundledProfile, machineNames } from './bundled.ts';
import type { Machine } from './machine.ts';
import type { Profile } from './profile.ts';
import { resolveProfile } from './resolve.ts';
import { loadUserMachine, loadUserProfile } from './user-file.ts';

export { machineNames } from './bundled.ts';

export interface MachineSummary {
  readonly name: string;
  readonly description: string;
  readonly architecture: 'arm64' | 'x86';
  readonly cpus: number;
  readonly nodes: number;
}

/** A bundled name (`-` accepted for `_`), or a YAML or JSON file. */
export function loadMachine(nameOrFile: string): Machine {
  const name = bundledName(nameOrFile);
  if (name !== undefined) return resolveProfile(bundledProfile(name));
  if (looksLikeFile(nameOrFile)) return loadUserMachine(nameOrFile);
  throw unknownMachine(nameOrFile);
}

/** The parameters that a machine is made from. */
export function loadProfile(nameOrFile: string): Profile {
  const name = bundledName(nameOrFile);
  if (name !== undefined) return bundledProfile(name);
  if (looksLikeFile(nameOrFile)) return loadUserProfile(nameOrFile);
  throw unknownMachine(nameOrFile);
}

function unknownMachine(name: string): UserError {
  return new UserError(
    `unknown machine '${printable(name)}'${didYouMean(name, machineNames())} ` +
      "('numalab list machines' lists them; a file ends in .yaml, .yml or .json)",
  );
}

/** The bundled machine that is meant, or undefined. */
export function bundledName(name: string): string | undefined {
  const wanted = name.replaceAll('-', '_');
  return machineNames().find((candidate) => candidate === wanted);
}

export function machineSummary(): MachineSummary[] {
  return machineNames().map((name) => {
    const machine = loadMachine(name);
    return {
      name,
      description: machine.description,
      architecture: machine.architecture,
      cpus: machine.cpuCount,
      nodes: machine.nodeCount,
    };
  });
}

/** Names of the parameters that have no source. */
export function estimatesOf(machine: Machine): string[] {
  return Object.entries(machine.provenance)
    .filter(([, provenance]) => provenance.confidence === 'estimate')
    .map(([name]) => name);
}

function looksLikeFile(text: string): boolean {
  return /\.(ya?ml|json)$/i.test(text) || text.includes('/') || existsSync(text);
}

function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
  return clean.length > 60 ? `${clean.slice(0, 57)}...` : clean;
}
