/**
 * Debug check: every load, store and atomic lies on a multiple of its size, so none crosses a line
 * (ER-D18: such an access is two on hardware and never atomic, and an atomic that crosses faults).
 * Crossing accesses are not modelled: the engine would touch the first line alone, and round the
 * address down to a word.
 *
 * Wraps the attempts of one CPU as own properties of the object, so nothing of it is on the paths
 * of a run without the check.
 */

import { BugError } from '../../base/errors.ts';

/** Operations on a word, by its bytes. */
const WORD_BYTES = {
  store16: 2,
  swap16: 2,
  load32: 4,
  store32: 4,
  cas32: 4,
  swap32: 4,
  add32: 4,
  set32: 4,
  clear32: 4,
  cond32: 4,
  cond32Until: 4,
  load64: 8,
  store64: 8,
  cas64: 8,
  swap64: 8,
  add64: 8,
} as const;

type Attempt = (aHi: number, aLo: number, ...operands: unknown[]) => boolean;

export function watchAlignment(cpu: object & { readonly id: number }): void {
  const methods = cpu as unknown as Record<string, Attempt>;
  for (const [name, bytes] of Object.entries(WORD_BYTES)) {
    const attempt = methods[name]!.bind(cpu);
    methods[name] = (aHi, aLo, ...operands) => {
      if ((aLo & (bytes - 1)) !== 0) throw misaligned(cpu.id, name, bytes, aHi, aLo);
      return attempt(aHi, aLo, ...operands);
    };
  }
}

function misaligned(cpu: number, name: string, bytes: number, hi: number, lo: number): BugError {
  const low = (lo >>> 0).toString(16).padStart(8, '0');
  return new BugError(
    `CPU ${cpu}: ${name} at 0x${(hi >>> 0).toString(16)}${low} is no multiple of ${bytes} bytes; ` +
      'accesses that cross a line are not modelled',
  );
}
