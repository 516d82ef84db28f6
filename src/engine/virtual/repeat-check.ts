/**
 * Debug check: a refused attempt is repeated unchanged. The interface's one rule; a program that
 * tries something else after a refusal would run differently on every engine.
 *
 * Wraps the attempts of one CPU as own properties of the object, so nothing of it is on the paths
 * of a run without the check. Handlers run in between: each depth of the program stack has its own
 * pending attempt.
 */

import { BugError } from '../../base/errors.ts';

/** Every operation that may refuse. */
export const ATTEMPTS = [
  'load32',
  'load64',
  'store32',
  'store64',
  'cas32',
  'cas64',
  'swap32',
  'swap64',
  'add32',
  'add64',
  'set32',
  'clear32',
  'load8',
  'store8',
  'store16',
  'swap16',
  'cond32',
  'cond32Until',
  'zeroLine',
  'cleanInvalidateLine',
  'cleanLineToPou',
  'zeroPage',
  'copyPage',
  'cleanInvalidatePage',
  'fetch',
  'fence',
  'translate',
  'tlbi',
  'dsb',
  'ipi',
  'wake',
  'idle',
  'setRoot',
] as const;

type Attempt = (...operands: unknown[]) => boolean;

/** Watches a CPU; `depth` tells how many programs are on its stack. */
export function watchRepeats(cpu: object & { readonly id: number }, depth: () => number): void {
  const pending: (string | null)[] = [];
  const methods = cpu as unknown as Record<string, Attempt>;
  // An attempt that is built on another one (cond32 on cond32Until) counts once.
  let inside = false;
  for (const name of ATTEMPTS) {
    const attempt = methods[name]!.bind(cpu);
    methods[name] = (...operands) => {
      if (inside) return attempt(...operands);
      const at = depth();
      const said = `${name}(${operands.join(', ')})`;
      const before = pending[at];
      if (before != null && before !== said) {
        throw new BugError(
          `CPU ${cpu.id}: ${before} was refused, and ${said} came instead of the same again`,
        );
      }
      inside = true;
      const performed = attempt(...operands);
      inside = false;
      pending[at] = performed ? null : said;
      return performed;
    };
  }
}
