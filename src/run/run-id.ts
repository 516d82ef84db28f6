/**
 * Identity of a run: SHA-256 of the resolved specification as JSON with sorted keys. What cannot
 * change the result (build, threads, jobs, output) is not part of it, so that the same question
 * has the same name on every machine.
 */

import { createHash } from 'node:crypto';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function sortedJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value as { readonly [key: string]: Json });
    entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    const members = entries.map(([key, item]) => `${JSON.stringify(key)}:${sortedJson(item)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}
