/**
 * No CPU executes text after its owner has given it up for freeing (TextRetracted): whoever frees
 * it has waited for everybody who could still be inside.
 */

import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const FREED_TEXT = 'freed-text';

export const FREED_TEXT_FACTS: OracleFacts = {
  name: FREED_TEXT,
  description: 'no CPU executes text that is being freed or was freed',
  engines: ['explore'],
};

function lineOf(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** 26 + (lo >>> 6);
}

export function makeFreedText(context: OracleContext): StressOracle {
  /** Lines that are nobody's any more: who has given them up. */
  const retracted = new Map<number, number>();
  return {
    name: FREED_TEXT,
    begin: () => retracted.clear(),
    event(cpu, kind, hi, lo) {
      if (kind === EventKind.TextRetracted) retracted.set(lineOf(hi, lo), cpu);
      else if (kind === EventKind.TextPublished) retracted.delete(lineOf(hi, lo));
    },
    fetched(cpu, hi, lo) {
      const by = retracted.get(lineOf(hi, lo));
      if (by === undefined) return;
      const text = 'executes text that was given up for freeing';
      context.fail({ oracle: FREED_TEXT, cpus: [cpu, by], text, hi, lo });
    },
  };
}
