/**
 * A TLB that tells a watch what happens to its entries: fills, uses, replacements, removals. It
 * behaves as the TLB that it stands for, so results with and without checks are the same.
 */

import { assert } from '../base/assert.ts';
import { Tlb, TlbKind } from '../translation/tlb.ts';
import type { TranslationWatch } from './translation-watch.ts';

export class WatchedTlb extends Tlb {
  /** By entry: its row in the translation log, -1 = none. */
  readonly rowOf: Int32Array;
  /** By entry: when it was read from memory, in emulated picoseconds. */
  readonly filledAt: Float64Array;
  readonly #watch: TranslationWatch;
  /** The level that this one copies from; null: the last level, or not a level. */
  readonly #below: WatchedTlb | null;
  #inserting = false;

  constructor(
    entries: number,
    ways: number,
    kind: TlbKind,
    watch: TranslationWatch,
    below: WatchedTlb | null = null,
  ) {
    super(entries, ways, kind);
    this.rowOf = new Int32Array(entries).fill(-1);
    this.filledAt = new Float64Array(entries);
    this.#watch = watch;
    this.#below = below;
  }

  override insert(
    context: number,
    global: boolean,
    vaHi: number,
    vaLo: number,
    stage1Shift: number,
    stage2Shift: number,
    ipaHi: number,
    ipaLo: number,
    paHi: number,
    paLo: number,
    permissions: number,
  ): number {
    const watch = this.#watch;
    if (this.kind !== TlbKind.Table) {
      watch.incoming(
        context,
        global,
        vaHi,
        vaLo,
        stage1Shift,
        stage2Shift,
        paHi,
        paLo,
        permissions,
      );
      this.#inserting = true;
    }
    const i = super.insert(
      context,
      global,
      vaHi,
      vaLo,
      stage1Shift,
      stage2Shift,
      ipaHi,
      ipaLo,
      paHi,
      paLo,
      permissions,
    );
    this.#inserting = false;
    this.filledAt[i] = watch.clockPs;
    this.#keepRow(i, watch.rowOfFill(this, i, this.#below !== null));
    return i;
  }

  override insertCopy(other: WatchedTlb, from: number): number {
    assert(other === this.#below, 'a TLB level copies from the one below');
    this.#watch.incoming(
      other.context(from),
      other.contextMask(from) !== -1,
      other.vaHi(from),
      other.vaLo(from),
      other.stage1Shift(from),
      other.stage2Shift(from),
      other.paHi(from),
      other.paLo(from),
      other.permissions(from),
    );
    this.#inserting = true;
    const i = super.insertCopy(other, from);
    this.#inserting = false;
    this.filledAt[i] = other.filledAt[from]!;
    this.#keepRow(i, other.rowOf[from]!);
    return i;
  }

  #keepRow(i: number, row: number): void {
    this.rowOf[i] = row;
    if (row >= 0) this.#watch.log.copied(row);
    this.#watch.used(this, i);
  }

  override touch(i: number): void {
    super.touch(i);
    this.#watch.used(this, i);
  }

  protected override leaves(i: number): void {
    if (this.#inserting) this.#watch.replaced(this, i);
    const row = this.rowOf[i]!;
    if (row < 0) return;
    this.#watch.complete(this, i);
    this.#watch.dropped(row);
    this.rowOf[i] = -1;
  }
}
