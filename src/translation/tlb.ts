/**
 * One level of one CPU's TLB: structure of arrays, no allocation after construction, exact LRU
 * (ER-X11), any number of page sizes mixed. Entries are found through a chained hash on (page
 * number at the entry's size, size, VMID), so that a lookup probes only the sizes present; a
 * direct-mapped front by 4 KiB page answers most hits at once. `ways` decides only what is evicted.
 *
 * Invariant: no two entries answer for the same address and tag. An insertion removes what it
 * overlaps; reporting the overlap (break-before-make) is a checker's work.
 *
 * Invalid entries hold a non-canonical address that no lookup asks for, so no valid bit is tested.
 */

import { assert } from '../base/assert.ts';
import { VMID_MASK } from './context.ts';
import { addressBits, sizeMaskHi, sizeMaskLo } from './granule.ts';
import { LruSets } from './lru-sets.ts';
import { RegionCounts } from './region-counts.ts';
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

const FRONT_SLOTS = 256;
const FRONT_MASK = FRONT_SLOTS - 1;
const FRONT_SHIFT = 12;
const NO_ADDRESS_HI = 0x7fffffff;
const SIZES_MAX = 16;
const VMID_BUCKETS = 64;

export class Tlb {
  readonly entries: number;
  readonly ways: number;
  readonly kind: TlbKind;

  // By entry. Masks clear the offset inside the entry's page; contextMask hides the ASID if global.
  readonly context: Int32Array;
  readonly contextMask: Int32Array;
  readonly vaHi: Int32Array;
  readonly vaLo: Int32Array;
  readonly maskHi: Int32Array;
  readonly maskLo: Int32Array;
  readonly paHi: Int32Array;
  readonly paLo: Int32Array;
  /** PERM_* bits; of a table: the stage, 1 or 2. */
  readonly permissions: Int32Array;
  /** log2 of the bytes of the entry: the smaller of its two stages; 0 = invalid. */
  readonly sizeShift: Uint8Array;
  readonly stage1Shift: Uint8Array;
  /** 0 = no stage 2. */
  readonly stage2Shift: Uint8Array;
  /** IPA of the entry's first byte (combined entries). */
  readonly ipaHi: Int32Array;
  readonly ipaLo: Int32Array;
  /** Emulated picoseconds. */
  readonly filledAt: Float64Array;

  /** Changes whenever an entry is invalidated, replaced or evicted: an index kept from before may
   * then mean something else. */
  generation = 0;
  validCount = 0;
  /** The first validCount: indices of the valid entries, in no meaningful order. */
  readonly valid: Int32Array;

  readonly #positionInValid: Int32Array;
  readonly #front = new Int32Array(FRONT_SLOTS);
  readonly #bucketShift: number;
  readonly #buckets: Int32Array;
  readonly #nextInBucket: Int32Array;
  readonly #setCount: number;
  readonly #lru: LruSets;
  readonly #regions: RegionCounts;
  /** Page sizes present, and how many entries have each. */
  readonly #sizes = new Uint8Array(SIZES_MAX);
  #sizeCount = 0;
  readonly #entriesOfSize = new Int32Array(64);
  readonly #entriesOfVmid = new Int32Array(VMID_BUCKETS);
  /** Entries smaller than what their stage 1 maps: by-address invalidation must scan for them. */
  #fragmentCount = 0;

  /** `ways` = 0: fully associative. */
  constructor(entries: number, ways: number, kind: TlbKind = TlbKind.Combined) {
    this.entries = entries;
    this.ways = ways === 0 ? entries : ways;
    this.kind = kind;
    assert(entries >= 1 && entries % this.ways === 0, `TLB of ${entries} entries, ${ways} ways`);
    this.#setCount = entries / this.ways;
    this.context = new Int32Array(entries);
    this.contextMask = new Int32Array(entries).fill(-1);
    this.vaHi = new Int32Array(entries).fill(NO_ADDRESS_HI);
    this.vaLo = new Int32Array(entries).fill(-1);
    this.maskHi = new Int32Array(entries).fill(-1);
    this.maskLo = new Int32Array(entries).fill(-1);
    this.paHi = new Int32Array(entries);
    this.paLo = new Int32Array(entries);
    this.permissions = new Int32Array(entries);
    this.sizeShift = new Uint8Array(entries);
    this.stage1Shift = new Uint8Array(entries);
    this.stage2Shift = new Uint8Array(entries);
    this.ipaHi = new Int32Array(entries);
    this.ipaLo = new Int32Array(entries);
    this.filledAt = new Float64Array(entries);
    this.valid = new Int32Array(entries);
    this.#positionInValid = new Int32Array(entries);
    const bucketBits = 32 - Math.clz32(entries - 1) + 1;
    this.#bucketShift = 32 - bucketBits;
    this.#buckets = new Int32Array(2 ** bucketBits).fill(-1);
    this.#nextInBucket = new Int32Array(entries).fill(-1);
    this.#lru = new LruSets(entries, this.ways);
    this.#regions = new RegionCounts(entries);
  }

  /** Index of the entry that translates the address, now most recently used; or -1. */
  lookup(context: number, vaHi: number, vaLo: number): number {
    const i = this.#front[((vaLo >>> FRONT_SHIFT) ^ vaHi) & FRONT_MASK]!;
    if (
      (((vaLo ^ this.vaLo[i]!) & this.maskLo[i]!) |
        ((vaHi ^ this.vaHi[i]!) & this.maskHi[i]!) |
        ((context ^ this.context[i]!) & this.contextMask[i]!)) ===
      0
    ) {
      this.touch(i);
      return i;
    }
    return this.#lookupByHash(context, vaHi, vaLo);
  }

  #lookupByHash(context: number, vaHi: number, vaLo: number): number {
    const i = this.find(context, vaHi, vaLo);
    if (i >= 0) {
      this.#front[((vaLo >>> FRONT_SHIFT) ^ vaHi) & FRONT_MASK] = i;
      this.touch(i);
    }
    return i;
  }

  /** As lookup, without counting as a use (checkers, a second level's inclusion test). */
  find(context: number, vaHi: number, vaLo: number): number {
    for (let k = 0; k < this.#sizeCount; k++) {
      let i = this.#buckets[this.#bucketOf(context, vaHi, vaLo, this.#sizes[k]!)]!;
      while (i >= 0) {
        if (
          (((vaLo ^ this.vaLo[i]!) & this.maskLo[i]!) |
            ((vaHi ^ this.vaHi[i]!) & this.maskHi[i]!) |
            ((context ^ this.context[i]!) & this.contextMask[i]!)) ===
          0
        ) {
          return i;
        }
        i = this.#nextInBucket[i]!;
      }
    }
    return -1;
  }

  #bucketOf(context: number, vaHi: number, vaLo: number, shift: number): number {
    const page = addressBits(vaHi, vaLo, shift);
    const key = page ^ Math.imul((context & VMID_MASK) + shift, 0x85ebca6b);
    return Math.imul(key, 0x9e3779b1) >>> this.#bucketShift;
  }

  /** Counts as a use of the entry. */
  touch(i: number): void {
    this.#lru.use(i);
  }

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
    filledAt: number,
  ): number {
    const nested = stage2Shift !== 0 && stage2Shift < stage1Shift;
    const shift = nested ? stage2Shift : stage1Shift;
    const maskHi = sizeMaskHi(shift);
    const maskLo = sizeMaskLo(shift);
    const contextMask = global ? VMID_MASK : -1;
    this.#removeOverlapping(context, contextMask, vaHi, vaLo, shift);
    const set = this.#setOfAddress(vaHi, vaLo, shift);
    const i = this.#lru.victim(set);
    if (this.sizeShift[i] !== 0) this.remove(i);
    this.context[i] = context;
    this.contextMask[i] = contextMask;
    this.vaHi[i] = vaHi & maskHi;
    this.vaLo[i] = vaLo & maskLo;
    this.maskHi[i] = maskHi;
    this.maskLo[i] = maskLo;
    this.paHi[i] = paHi & maskHi;
    this.paLo[i] = paLo & maskLo;
    this.permissions[i] = permissions;
    this.sizeShift[i] = shift;
    this.stage1Shift[i] = stage1Shift;
    this.stage2Shift[i] = stage2Shift;
    this.ipaHi[i] = ipaHi & maskHi;
    this.ipaLo[i] = ipaLo & maskLo;
    this.filledAt[i] = filledAt;
    this.#lru.admit(i);
    this.#register(i, shift, nested);
    this.#front[((vaLo >>> FRONT_SHIFT) ^ vaHi) & FRONT_MASK] = i;
    return i;
  }

  #setOfAddress(vaHi: number, vaLo: number, shift: number): number {
    const sets = this.#setCount;
    if (sets === 1) return 0;
    return (addressBits(vaHi, vaLo, shift) >>> 0) % sets;
  }

  #register(i: number, shift: number, nested: boolean): void {
    const context = this.context[i]!;
    const bucket = this.#bucketOf(context, this.vaHi[i]!, this.vaLo[i]!, shift);
    this.#nextInBucket[i] = this.#buckets[bucket]!;
    this.#buckets[bucket] = i;
    this.#positionInValid[i] = this.validCount;
    this.valid[this.validCount++] = i;
    this.#entriesOfVmid[(context >>> 16) & (VMID_BUCKETS - 1)]!++;
    if (nested) this.#fragmentCount++;
    this.#regions.count(shift, this.vaHi[i]!, this.vaLo[i]!, 1);
    if (this.#entriesOfSize[shift]!++ === 0) {
      assert(this.#sizeCount < SIZES_MAX, 'more page sizes than any granule has');
      this.#sizes[this.#sizeCount++] = shift;
    }
  }

  /** Drops a valid entry; it becomes the least recently used of its set. */
  remove(i: number): void {
    const shift = this.sizeShift[i]!;
    const context = this.context[i]!;
    this.#regions.count(shift, this.vaHi[i]!, this.vaLo[i]!, -1);
    this.#unchain(i, this.#bucketOf(context, this.vaHi[i]!, this.vaLo[i]!, shift));
    const last = this.valid[--this.validCount]!;
    const position = this.#positionInValid[i]!;
    this.valid[position] = last;
    this.#positionInValid[last] = position;
    this.#entriesOfVmid[(context >>> 16) & (VMID_BUCKETS - 1)]!--;
    if (shift < this.stage1Shift[i]!) this.#fragmentCount--;
    if (--this.#entriesOfSize[shift]! === 0) this.#forgetSize(shift);
    this.sizeShift[i] = 0;
    this.vaHi[i] = NO_ADDRESS_HI;
    this.vaLo[i] = -1;
    this.maskHi[i] = -1;
    this.maskLo[i] = -1;
    this.#lru.release(i);
    this.generation++;
  }

  #unchain(i: number, bucket: number): void {
    let at = this.#buckets[bucket]!;
    if (at === i) {
      this.#buckets[bucket] = this.#nextInBucket[i]!;
      return;
    }
    while (this.#nextInBucket[at]! !== i) at = this.#nextInBucket[at]!;
    this.#nextInBucket[at] = this.#nextInBucket[i]!;
  }

  #forgetSize(shift: number): void {
    let k = 0;
    while (this.#sizes[k] !== shift) k++;
    this.#sizes[k] = this.#sizes[--this.#sizeCount]!;
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
    for (let k = this.#sizeCount - 1; k >= 0; k--) {
      const size = this.#sizes[k]!;
      if (size < shift) smaller = true;
      else this.#removeAt(context, contextMask, vaHi, vaLo, size);
    }
    if (!this.#regions.knows(shift)) this.#countSmallerThan(shift);
    if (!smaller || !this.#regions.mayHold(shift, vaHi, vaLo)) return;
    const maskHi = sizeMaskHi(shift);
    const maskLo = sizeMaskLo(shift);
    for (let k = this.validCount - 1; k >= 0; k--) {
      const i = this.valid[k]!;
      const differs =
        ((this.vaHi[i]! ^ vaHi) & maskHi) |
        ((this.vaLo[i]! ^ vaLo) & maskLo) |
        ((this.context[i]! ^ context) & this.contextMask[i]! & contextMask);
      if (differs === 0) this.remove(i);
    }
  }

  #countSmallerThan(shift: number): void {
    this.#regions.learn(shift);
    for (let k = 0; k < this.validCount; k++) {
      const i = this.valid[k]!;
      if (this.sizeShift[i]! >= shift) continue;
      this.#regions.countOne(shift, this.vaHi[i]!, this.vaLo[i]!);
    }
  }

  /** Entries of one size that contain the address; several if tags are compared by VMID alone. */
  #removeAt(
    context: number,
    contextMask: number,
    vaHi: number,
    vaLo: number,
    size: number,
  ): number {
    let removed = 0;
    let i = this.#buckets[this.#bucketOf(context, vaHi, vaLo, size)]!;
    while (i >= 0) {
      const next = this.#nextInBucket[i]!;
      const differs =
        ((vaLo ^ this.vaLo[i]!) & this.maskLo[i]!) |
        ((vaHi ^ this.vaHi[i]!) & this.maskHi[i]!) |
        ((context ^ this.context[i]!) & this.contextMask[i]! & contextMask);
      if (differs === 0) {
        this.remove(i);
        removed++;
      }
      i = next;
    }
    return removed;
  }

  /** Removes what the operation takes; returns how many entries. */
  invalidate(match: TlbiMatch): number {
    if (this.validCount === 0 || !(match.stage1 || match.stage2)) return 0;
    if (this.kind === TlbKind.Combined && !match.stage1) return 0;
    if (this.kind === TlbKind.Stage2Only && !match.stage2) return 0;
    if (!match.everyGuest) {
      const bucket = (match.context >>> 16) & (VMID_BUCKETS - 1);
      if (this.#entriesOfVmid[bucket] === 0) return 0;
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
    if (this.kind === TlbKind.Table || this.#fragmentCount !== 0) return false;
    for (let k = 0; k < this.#sizeCount; k++) {
      if (this.#sizes[k]! < match.granuleShift) return false;
    }
    return true;
  }

  /** One granule page; the caller has checked that no entry is smaller. */
  #invalidateAddress(match: TlbiMatch): number {
    let removed = 0;
    for (let k = this.#sizeCount - 1; k >= 0; k--) {
      const { context, contextMask, firstHi, firstLo } = match;
      removed += this.#removeAt(context, contextMask, firstHi, firstLo, this.#sizes[k]!);
    }
    return removed;
  }

  #taken(match: TlbiMatch, i: number): boolean {
    const context = this.context[i]!;
    const hi = this.vaHi[i]!;
    const lo = this.vaLo[i]!;
    const shift = this.stage1Shift[i]!;
    if (this.kind === TlbKind.Combined) {
      return match.matchesLeaf(context, this.contextMask[i]!, hi, lo, shift);
    }
    if (this.kind === TlbKind.Stage2Only) return match.matchesStage2(context, hi, lo, shift);
    if (this.permissions[i] === 1) return match.matchesStage1Table(context, hi, lo, shift);
    return match.matchesStage2(context, hi & ~STAGE2_TABLE_TAG_HI, lo, shift);
  }
}
