/**
 * Identity of a machine: SHA-256 of everything that can move a result, as JSON with sorted keys.
 * Name, description and provenance stay out: the same numbers from another source are the same
 * machine.
 */

import { createHash } from 'node:crypto';
import type { Machine } from './machine.ts';

export function machineHash(machine: Omit<Machine, 'hash'>): string {
  const { name: _name, description: _description, provenance: _provenance, ...numbers } = machine;
  return createHash('sha256').update(sortedJson(numbers)).digest('hex');
}

/** JSON with keys in code-unit order; typed arrays as lists, infinities as words. */
export function sortedJson(value: unknown): string {
  if (typeof value === 'number' && !Number.isFinite(value)) return `"${value}"`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`;
  if (ArrayBuffer.isView(value)) {
    return `[${Array.from(value as Float64Array, sortedJson).join(',')}]`;
  }
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const members = entries.map(([key, item]) => `${JSON.stringify(key)}:${sortedJson(item)}`);
  return `{${members.join(',')}}`;
}
