/**
 * Descriptors that a program changes from valid to valid (invariant I1; Arm ARM D8.16.1): another
 * output address, or a table where a block was. Only tables that a hardware walker has read
 * count, since of others no TLB holds anything. Whether the page was a table at the time is
 * judged by the replay (live-descriptors.ts).
 *
 * The old value is read when the CPU holds the line and before it writes, the new one right
 * after: both inside one attempt, so no other CPU comes in between.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { isValid, PTE_DBM_HI } from '../translation/descriptors.ts';
import { S1_READ_ONLY } from '../translation/stage1-descriptors.ts';
import { S2_WRITE } from '../translation/stage2-descriptors.ts';
import { Mark } from './table-reads.ts';

export const Change = { None: 0, Size: 1, Output: 2 } as const;
export type Change = (typeof Change)[keyof typeof Change];

const TYPE_MASK = 3;
const OUTPUT_MASK_LO = ~0xfff;
const OUTPUT_MASK_HI = 0xffff;

export class DescriptorWatch {
  hi = 0;
  lo = 0;
  readonly #memory: PhysicalMemory;
  #mark: Mark = Mark.None;
  #oldHi = 0;
  #oldLo = 0;

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  /** An access takes place; a mark: it is about to write to a table. */
  before(mark: Mark, paHi: number, paLo: number): void {
    this.#mark = mark;
    if (mark === Mark.None) return;
    this.hi = paHi;
    this.lo = paLo & ~7;
    this.#oldLo = this.#memory.peek32(paHi, this.lo);
    this.#oldHi = this.#memory.peek32(paHi, this.lo + 4);
  }

  /** It has taken place: what it did to the descriptor. `markOf`: of any page. */
  after(markOf: (paHi: number, paLo: number) => Mark): Change {
    const mark = this.#mark;
    this.#mark = Mark.None;
    if (mark !== Mark.Stage1 && mark !== Mark.Stage2) return Change.None;
    const newLo = this.#memory.peek32(this.hi, this.lo);
    const newHi = this.#memory.peek32(this.hi, this.lo + 4);
    const oldHi = this.#oldHi;
    const oldLo = this.#oldLo;
    if (!isValid(oldLo) || !isValid(newLo)) return Change.None;
    if (((oldLo ^ newLo) & TYPE_MASK) !== 0) return Change.Size;
    const moved = ((oldLo ^ newLo) & OUTPUT_MASK_LO) | ((oldHi ^ newHi) & OUTPUT_MASK_HI);
    if (moved === 0) return Change.None;
    // Another table may say the same as the one before.
    if (markOf(oldHi & OUTPUT_MASK_HI, oldLo) !== Mark.None) return Change.None;
    if (markOf(newHi & OUTPUT_MASK_HI, newLo) !== Mark.None) return Change.None;
    const writable = isWritable(mark, oldHi, oldLo) || isWritable(mark, newHi, newLo);
    return writable ? Change.Output : Change.None;
  }
}

function isWritable(mark: Mark, hi: number, lo: number): boolean {
  if (mark === Mark.Stage2) return (lo & S2_WRITE) !== 0;
  return (lo & S1_READ_ONLY) === 0 || (hi & PTE_DBM_HI) !== 0;
}
