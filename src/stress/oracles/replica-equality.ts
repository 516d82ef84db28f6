/**
 * All copies of the kernel's text are equal outside of patch windows: whoever has patched an
 * instruction finds the same word in every copy (told by the target, which knows when its window is
 * over), and at the end all words are equal.
 */

import type { KernelTextImage } from '../../kernel/text/image.ts';
import { addBytes } from '../../memory/physical-address.ts';
import type { Memory, Reporter } from '../target.ts';
import type { OracleFacts } from './oracle.ts';

export const REPLICA_EQUALITY = 'replica-equality';

export const REPLICA_EQUALITY_FACTS: OracleFacts = {
  name: REPLICA_EQUALITY,
  description: 'copies of the kernel text are equal wherever nobody is patching',
  engines: ['explore'],
};

/** The word at an offset, in every copy; `cpu` has just patched it for all. */
export function checkPatched(
  report: Reporter,
  { copies }: KernelTextImage,
  cpu: number,
  offset: number,
  word: number,
): void {
  for (const { physical } of copies) {
    const at = addBytes(physical, offset);
    if (report.word(at) === (word | 0)) continue;
    const text = 'has patched an instruction, and a copy still has the old one';
    report.fail({ oracle: REPLICA_EQUALITY, cpus: [cpu], text, hi: at.hi, lo: at.lo });
    return;
  }
}

export function checkReplicas(
  memory: Memory,
  { copies }: KernelTextImage,
  bytes: number,
  report: Reporter,
): void {
  const [original, ...others] = copies;
  for (const copy of others) {
    for (let offset = 0; offset < bytes; offset += 4) {
      const at = addBytes(copy.physical, offset);
      if (memory.word(at) === memory.word(addBytes(original!.physical, offset))) continue;
      const text = 'a copy of the text differs from the original';
      report.fail({ oracle: REPLICA_EQUALITY, cpus: [], text, hi: at.hi, lo: at.lo });
      return;
    }
  }
}
