/**
 * W^X by the scope of windows. Text that CPUs may execute is not written to, through no alias and
 * no stale translation; where it must change there is a window (FIX_TEXT_POKE0), and a write
 * through the window reaches the page that is mapped there now: never one that an earlier window
 * had, nor any when it is closed. Programs tell what may be executed (TextPublished, TextRetracted)
 * and where the window's descriptor is (PokeWindow).
 *
 * A temporary address space of one CPU is no concern here: nobody else has it.
 */

import { EventKind } from '../../cpu/operations.ts';
import { POKE_WINDOW } from '../../kernel/patching/fixmap-poke.ts';
import { isValid, outputHi, outputLo } from '../../translation/descriptors.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const WRITE_XOR_EXECUTE = 'write-xor-execute';

export const WRITE_XOR_EXECUTE_FACTS: OracleFacts = {
  name: WRITE_XOR_EXECUTE,
  description: 'text is written through an open window only, and never while it may be executed',
  engines: ['explore'],
};

const PAGE_SHIFT = 12;

function lineOf(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** 26 + (lo >>> 6);
}

function samePage(lo: number, other: number): boolean {
  return lo >>> PAGE_SHIFT === other >>> PAGE_SHIFT;
}

export function makeWriteXorExecute(
  context: OracleContext,
  word: (hi: number, lo: number) => number,
): StressOracle {
  /** Lines that may be executed: who has said so. */
  const executable = new Map<number, number>();
  let window: { readonly hi: number; readonly lo: number } | null = null;
  return {
    name: WRITE_XOR_EXECUTE,
    begin() {
      executable.clear();
      window = null;
    },
    event(cpu, kind, hi, lo) {
      if (kind === EventKind.TextPublished) executable.set(lineOf(hi, lo), cpu);
      else if (kind === EventKind.TextRetracted) executable.delete(lineOf(hi, lo));
      else if (kind === EventKind.PokeWindow) window = { hi: hi & 0xffff, lo };
    },
    access(cpu, hi, lo, _bytes, writes) {
      if (!writes || executable.size === 0) return;
      const by = executable.get(lineOf(hi, lo));
      if (by === undefined) return;
      const text = 'writes to text that may be executed';
      context.fail({ oracle: WRITE_XOR_EXECUTE, cpus: [cpu, by], text, hi, lo });
    },
    translated({ cpu, vaHi, vaLo, paHi, paLo, write }) {
      if (!write || window === null) return;
      if (vaHi !== POKE_WINDOW.hi || !samePage(vaLo, POKE_WINDOW.lo)) return;
      const entryLo = word(window.hi, window.lo);
      const entryHi = word(window.hi, window.lo + 4);
      const isOpen = isValid(entryLo);
      const isThere = outputHi(entryHi, PAGE_SHIFT) === paHi;
      if (isOpen && isThere && samePage(outputLo(entryLo, PAGE_SHIFT), paLo)) return;
      const which = isOpen
        ? 'a page that the window had before'
        : 'text though the window is closed';
      const text = `writes to ${which}`;
      context.fail({ oracle: WRITE_XOR_EXECUTE, cpus: [cpu], text, hi: paHi, lo: paLo });
    },
  };
}
