/**
 * One level of one CPU's TLB: no allocation after construction, exact LRU (ER-X11), any number of
 * page sizes mixed. Entries are found by hash (tlb-index.ts): `ways` decides only what is evicted.
 *
 * Invariant: no two entries answer for the same address and tag. An insertion removes what it
 * overlaps; reporting the overlap (break-before-make) is a checker's work.
 */

import { assert } from '../base/assert.ts';
import { VMID_MASK } from './context.ts';
import { addressBits, sizeMaskHi, sizeMaskLo } from './granule.ts';
import { LruSets } from './lru-sets.ts';
import {
  COPIED_WORDS,
  RECORD_SHIFT,
  SIZE_BITS,
  STAGE1_SIZE_SHIFT,
  STAGE2_SIZE_SHIFT,
  Word,
} from './tlb-entries.ts';
import { TlbIndex, VMID_BUCKETS } from './tlb-index.ts';
import type { TlbiMatch } from './tlbi-match.ts';

/** What the entries of an array are, which decides what a TLBI takes. */
export const TlbKind = {
  /** VA to PA: host stage 1, or stage 1 and 2 combined. */
  Combined: 0,
  /** IPA to PA, tagged by VMID alone. */
  Stage2Only: 1,
  /** Table descriptors of one level, both stages (walk-cache.ts). */
  Table: 2,
} as const;
export type TlbKind = (typeof TlbKind)[keyof typeof TlbKind];

/** Set in the address of stage-2 entries of TlbKind.Table: an IPA never has this bit of hi. */
export const STAGE2_TABLE_TAG_HI = 1 << 30;

export class Tlb extends TlbIndex {
  readonly ways: number;
  readonly kind: TlbKind;

  readonly #setCount: number;
  /** Sets - 1 if the sets are a power of two, else -1. */
  readonly #setMask: number;
  readonly #lru: LruSets;

  /** `ways` = 0: fully associative. */
  constructor(entries: number, ways: number, kind: TlbKind = TlbKind.Combined) {
    super(entries);
    this.ways = ways === 0 ? entries : ways;
    this.kind = kind;
    assert(entries >= 1 && entries % this.ways === 0, `TLB of ${entries} entries, ${ways} ways`);
    this.#setCount = entries / this.ways;
    this.#setMask = (this.#setCount & (this.#setCount - 1)) === 0 ? this.#setCount - 1 : -1;
    this.#lru = new LruSets(entries, this.ways);
  }

  // ---- lookup ---------------------------------------------------------------------------------

  /** Index of the entry that translates the address, now most recently used; or -1. */
  lookup(context: number, vaHi: number, vaLo: number): number {
    const i = this.find(context, vaHi, vaLo);
    if (i >= 0) this.touch(i);
    return i;
  }

  /** Counts as a use of the entry. */
  touch(i: number): void {
    this.#lru.use(i);
  }

  // ---- insertion ------------------------------------------------------------------------------

  /**
   * Enters a translation and returns its index, evicting the least recently used of the set. The
   * addresses may point anywhere into the page: bases are cut to the entry's size, the smaller of
   * the two stages (stage2Shift 0: stage 1 alone; ipa is then not used). What overlaps goes first.
   */
  insert(
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
    const nested = stage2Shift !== 0 && stage2Shift < stage1Shift;
    const shift = nested ? stage2Shift : stage1Shift;
    const maskHi = sizeMaskHi(shift);
    const maskLo = sizeMaskLo(shift);
    const contextMask = global ? VMID_MASK : -1;
    const sizes = shift | (stage1Shift << STAGE1_SIZE_SHIFT) | (stage2Shift << STAGE2_SIZE_SHIFT);
    const i = this.#makeRoom(context, contextMask, vaHi, vaLo, sizes);
    const { words } = this;
    const at = i << RECORD_SHIFT;
    words[at + Word.Context] = context;
    words[at + Word.ContextMask] = contextMask;
    words[at + Word.VaHi] = vaHi & maskHi;
    words[at + Word.VaLo] = vaLo & maskLo;
    words[at + Word.MaskHi] = maskHi;
    words[at + Word.MaskLo] = maskLo;
    words[at + Word.PaHi] = paHi & maskHi;
    words[at + Word.PaLo] = paLo & maskLo;
    words[at + Word.Permissions] = permissions;
    words[at + Word.Sizes] = sizes;
    words[at + Word.IpaHi] = ipaHi & maskHi;
    words[at + Word.IpaLo] = ipaLo & maskLo;
    return i;
  }

  /** Enters what another level holds, as `insert`. */
  insertCopy(other: Tlb, from: number): number {
    const source = other.words;
    const at = from << RECORD_SHIFT;
    const i = this.#makeRoom(
      source[at + Word.Context]!,
      source[at + Word.ContextMask]!,
      source[at + Word.VaHi]!,
      source[at + Word.VaLo]!,
      source[at + Word.Sizes]!,
    );
    const { words } = this;
    const to = i << RECORD_SHIFT;
    for (let k = 0; k < COPIED_WORDS; k++) words[to + k] = source[at + k]!;
    return i;
  }

  /**
   * The entry for a new translation: what overlaps is gone, the victim's content, too. It is linked
   * and counted as the new one; its record is the caller's to write.
   */
  #makeRoom(
    context: number,
    contextMask: number,
    vaHi: number,
    vaLo: number,
    sizes: number,
  ): number {
    const { words } = this;
    const shift = sizes & SIZE_BITS;
    const bucket = this.bucketOf(context, vaHi, vaLo, shift);
    if (this.sizeCount !== 1 || this.sizes[0] !== shift) {
      this.#removeOverlapping(context, contextMask, vaHi, vaLo, shift);
    } else if (this.buckets[bucket]! >= 0) {
      this.#removeAt(bucket, context, contextMask, vaHi, vaLo);
    }
    const set = this.#setOfAddress(vaHi, vaLo, shift);
    const i = this.#lru.victim(set);
    const at = i << RECORD_SHIFT;
    const old = words[at + Word.Sizes]!;
    if (old === 0) {
      words[at + Word.Position] = this.validCount;
      this.valid[this.validCount++] = i;
      this.count(sizes, context, vaHi, vaLo);
    } else {
      this.leaves(i);
      this.generation++;
      this.unchain(i);
      // In the steady state one page makes way for another of its kind: nothing else changes.
      const alike = old === sizes && (words[at + Word.Context]! ^ context) >>> 16 === 0;
      if (!alike || this.regions.inUse) {
        this.uncount(i);
        this.count(sizes, context, vaHi, vaLo);
      }
    }
    this.#lru.admit(i, set);
    this.link(i, bucket);
    return i;
  }

  #setOfAddress(vaHi: number, vaLo: number, shift: number): number {
    const page = addressBits(vaHi, vaLo, shift);
    if (this.#setMask >= 0) return page & this.#setMask;
    return (page >>> 0) % this.#setCount;
  }

  // ---- removal --------------------------------------------------------------------------------

  /** A valid entry is about to be removed or replaced; its fields can still be read. */
  protected leaves(_i: number): void {}

  /** Drops a valid entry; it becomes the least recently used of its set. */
  remove(i: number): void {
    this.leaves(i);
    this.generation++;
    this.unchain(i);
    this.uncount(i);
    const { words } = this;
    const last = this.valid[--this.validCount]!;
    const position = words[(i << RECORD_SHIFT) + Word.Position]!;
    this.valid[position] = last;
    words[(last << RECORD_SHIFT) + Word.Position] = position;
    words[(i << RECORD_SHIFT) + Word.Sizes] = 0;
    this.#lru.release(i);
  }

  /** Entries whose addresses and tags meet those of a new one. */
  #removeOverlapping(
    context: number,
    contextMask: number,
    vaHi: number,
    vaLo: number,
    shift: number,
  ): void {
    let smaller = false;
    for (let k = this.sizeCount - 1; k >= 0; k--) {
      const size = this.sizes[k]!;
      if (size < shift) {
        smaller = true;
        continue;
      }
      const bucket = this.bucketOf(context, vaHi, vaLo, size);
      this.#removeAt(bucket, context, contextMask, vaHi, vaLo);
    }
    if (smaller) this.#removeSmaller(context, contextMask, vaHi, vaLo, shift);
  }

  #removeSmaller(
    context: number,
    contextMask: number,
    vaHi: number,
    vaLo: number,
    shift: number,
  ): void {
    if (!this.regions.knows(shift)) this.#countSmallerThan(shift);
    if (!this.regions.mayHold(shift, vaHi, vaLo)) return;
    const { words } = this;
    const maskHi = sizeMaskHi(shift);
    const maskLo = sizeMaskLo(shift);
    for (let k = this.validCount - 1; k >= 0; k--) {
      const i = this.valid[k]!;
      const at = i << RECORD_SHIFT;
      const differs =
        ((words[at + Word.VaHi]! ^ vaHi) & maskHi) |
        ((words[at + Word.VaLo]! ^ vaLo) & maskLo) |
        ((words[at + Word.Context]! ^ context) & words[at + Word.ContextMask]! & contextMask);
      if (differs === 0) this.remove(i);
    }
  }

  #countSmallerThan(shift: number): void {
    this.regions.learn(shift);
    for (let k = 0; k < this.validCount; k++) {
      const i = this.valid[k]!;
      if (this.sizeShift(i) < shift) this.regions.countOne(shift, this.vaHi(i), this.vaLo(i));
    }
  }

  /**
   * Entries of one size, whose bucket is given, that contain the address; several if tags are
   * compared by VMID alone.
   */
  #removeAt(
    bucket: number,
    context: number,
    contextMask: number,
    vaHi: number,
    vaLo: number,
  ): number {
    const { words } = this;
    let removed = 0;
    let i = this.buckets[bucket]!;
    while (i >= 0) {
      const at = i << RECORD_SHIFT;
      const next = words[at + Word.NextInBucket]!;
      const differs =
        ((vaLo ^ words[at + Word.VaLo]!) & words[at + Word.MaskLo]!) |
        ((vaHi ^ words[at + Word.VaHi]!) & words[at + Word.MaskHi]!) |
        ((context ^ words[at + Word.Context]!) & words[at + Word.ContextMask]! & contextMask);
      if (differs === 0) {
        this.remove(i);
        removed++;
      }
      i = next;
    }
    return removed;
  }

  // ---- TLB invalidation -----------------------------------------------------------------------

  /** Removes what the operation takes; returns how many entries. */
  invalidate(match: TlbiMatch): number {
    if (this.validCount === 0 || !(match.stage1 || match.stage2)) return 0;
    if (this.kind === TlbKind.Combined && !match.stage1) return 0;
    if (this.kind === TlbKind.Stage2Only && !match.stage2) return 0;
    if (!match.everyGuest) {
      const bucket = (match.context >>> 16) & (VMID_BUCKETS - 1);
      if (this.entriesOfVmid[bucket] === 0) return 0;
      if (match.onePage && this.#findableByHash(match)) return this.#invalidateAddress(match);
    }
    let removed = 0;
    for (let k = this.validCount - 1; k >= 0; k--) {
      const i = this.valid[k]!;
      if (!this.#taken(match, i)) continue;
      this.remove(i);
      removed++;
    }
    return removed;
  }

  /** Are all entries that one page's address can take in the buckets of that address? */
  #findableByHash(match: TlbiMatch): boolean {
    if (this.kind === TlbKind.Table || this.fragmentCount !== 0) return false;
    for (let k = 0; k < this.sizeCount; k++) {
      if (this.sizes[k]! < match.granuleShift) return false;
    }
    return true;
  }

  /** One granule page; the caller has checked that no entry is smaller. */
  #invalidateAddress(match: TlbiMatch): number {
    let removed = 0;
    for (let k = this.sizeCount - 1; k >= 0; k--) {
      const { context, contextMask, firstHi, firstLo } = match;
      const bucket = this.bucketOf(context, firstHi, firstLo, this.sizes[k]!);
      removed += this.#removeAt(bucket, context, contextMask, firstHi, firstLo);
    }
    return removed;
  }

  #taken(match: TlbiMatch, i: number): boolean {
    const context = this.context(i);
    const hi = this.vaHi(i);
    const lo = this.vaLo(i);
    const shift = this.stage1Shift(i);
    if (this.kind === TlbKind.Combined) {
      return match.matchesLeaf(context, this.contextMask(i), hi, lo, shift);
    }
    if (this.kind === TlbKind.Stage2Only) return match.matchesStage2(context, hi, lo, shift);
    if (this.permissions(i) === 1) return match.matchesStage1Table(context, hi, lo, shift);
    return match.matchesStage2(context, hi & ~STAGE2_TABLE_TAG_HI, lo, shift);
  }
}
