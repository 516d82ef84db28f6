/**
 * A TLB that tells a watch what happens to its entries: fills, uses, replacements, removals. It
 * behaves as the TLB that it stands for, so results with and without checks are the same.
 */

import { Tlb, TlbKind } from '../translation/tlb.ts';
import type { TranslationWatch } from './translation-watch.ts';

export class WatchedTlb extends Tlb {
  /** By entry: its row in the translation log, -1 = none. */
  readonly rowOf: Int32Array;
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
    filledAt: number,
  ): number {
    const watch = this.#watch;
    const below = this.#below;
    const copied = below === null ? -1 : below.find(context, vaHi, vaLo);
    const isCopy = copied >= 0 && below!.filledAt[copied] === filledAt;
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
      filledAt,
    );
    this.#inserting = false;
    const row = isCopy ? below!.rowOf[copied]! : watch.rowOfFill(this, i, below !== null);
    this.rowOf[i] = row;
    if (row >= 0) watch.log.copied(row);
    watch.used(this, i);
    return i;
  }

  override touch(i: number): void {
    super.touch(i);
    this.#watch.used(this, i);
  }

  override remove(i: number): void {
    if (this.#inserting) this.#watch.replaced(this, i);
    const row = this.rowOf[i]!;
    if (row >= 0) {
      this.#watch.complete(this, i);
      this.#watch.dropped(row);
      this.rowOf[i] = -1;
    }
    super.remove(i);
  }
}
