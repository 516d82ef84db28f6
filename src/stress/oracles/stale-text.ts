/**
 * No CPU executes an instruction that was replaced for all: a program says so (TextPatched) once
 * the caches are maintained and every CPU has synchronised its context; from then on none may
 * execute a content of that line older than the one it had at that moment. Until then old and new
 * are both right. What the engine lets a CPU execute is in engine/explore/text-versions.ts.
 */

import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const STALE_TEXT = 'stale-text';

export const STALE_TEXT_FACTS: OracleFacts = {
  name: STALE_TEXT,
  description: 'no CPU executes an instruction after its replacement was made visible to all',
  engines: ['explore', 'virtual'],
};

export function makeStaleText(
  context: OracleContext,
  newestText: (hi: number, lo: number) => number,
): StressOracle {
  /** By line: the oldest content that may be executed, and who said so. */
  const oldest = new Map<number, { readonly version: number; readonly by: number }>();
  return {
    name: STALE_TEXT,
    begin: () => oldest.clear(),
    event(cpu, kind, hi, lo) {
      if (kind !== EventKind.TextPatched) return;
      oldest.set(lineOf(hi, lo), { version: newestText(hi & 0xffff, lo), by: cpu });
    },
    fetched(cpu, hi, lo, version) {
      const known = oldest.get(lineOf(hi, lo));
      if (known === undefined || version >= known.version) return;
      const text = 'executes an instruction that was replaced for all CPUs';
      context.fail({ oracle: STALE_TEXT, cpus: [cpu, known.by], text, hi, lo });
    },
  };
}

function lineOf(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** 26 + (lo >>> 6);
}
