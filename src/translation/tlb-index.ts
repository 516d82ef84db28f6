/**
 * How the entries of a TLB level are found and counted: a chained hash on (page number at the
 * entry's size, size, VMID), the page sizes present, and what lets a TLBI or an insertion know that
 * it need not look.
 */

import { assert } from '../base/assert.ts';
import { VMID_MASK } from './context.ts';
import { addressBits } from './granule.ts';
import { RegionCounts } from './region-counts.ts';
import { isFragment, RECORD_SHIFT, SIZE_BITS, TlbEntries, Word } from './tlb-entries.ts';

const SIZES_MAX = 16;
export const VMID_BUCKETS = 64;
/** log2 of buckets per entry: with fewer, the host mispredicts the ends of chains. */
const BUCKETS_SHIFT = 3;

export class TlbIndex extends TlbEntries {
  /** Changes whenever an entry is invalidated, replaced or evicted: an index kept from before may
   * then mean something else. */
  generation = 0;
  validCount = 0;
  /** The first validCount: indices of the valid entries, in no meaningful order. */
  readonly valid: Int32Array;

  readonly #bucketShift: number;
  protected readonly buckets: Int16Array;
  protected readonly regions: RegionCounts;
  /** Page sizes present, and how many entries have each. */
  protected readonly sizes = new Uint8Array(SIZES_MAX);
  protected sizeCount = 0;
  readonly #entriesOfSize = new Int32Array(64);
  protected readonly entriesOfVmid = new Int32Array(VMID_BUCKETS);
  /** Entries smaller than what their stage 1 maps: by-address invalidation must scan for them. */
  protected fragmentCount = 0;

  constructor(entries: number) {
    super(entries);
    assert(entries < 2 ** 15, `TLB of ${entries} entries: an index has 16 bits`);
    this.valid = new Int32Array(entries);
    const bucketBits = 32 - Math.clz32(entries - 1) + BUCKETS_SHIFT;
    this.#bucketShift = 32 - bucketBits;
    this.buckets = new Int16Array(2 ** bucketBits).fill(-1);
    this.regions = new RegionCounts(entries);
  }

  /** Index of the entry that translates the address, or -1; does not count as a use of it. */
  find(context: number, vaHi: number, vaLo: number): number {
    const { words } = this;
    const count = this.sizeCount;
    for (let k = 0; k < count; k++) {
      let i = this.buckets[this.bucketOf(context, vaHi, vaLo, this.sizes[k]!)]!;
      while (i >= 0) {
        const at = i << RECORD_SHIFT;
        if (
          (((vaLo ^ words[at + Word.VaLo]!) & words[at + Word.MaskLo]!) |
            ((vaHi ^ words[at + Word.VaHi]!) & words[at + Word.MaskHi]!) |
            ((context ^ words[at + Word.Context]!) & words[at + Word.ContextMask]!)) ===
          0
        ) {
          return i;
        }
        i = words[at + Word.NextInBucket]!;
      }
    }
    return -1;
  }

  protected bucketOf(context: number, vaHi: number, vaLo: number, shift: number): number {
    const page = addressBits(vaHi, vaLo, shift);
    const key = page ^ Math.imul((context & VMID_MASK) + shift, 0x85ebca6b);
    return Math.imul(key, 0x9e3779b1) >>> this.#bucketShift;
  }

  /** Puts an entry, whose record holds no link, at the head of a bucket. */
  protected link(i: number, bucket: number): void {
    const at = i << RECORD_SHIFT;
    this.words[at + Word.Bucket] = bucket;
    this.words[at + Word.NextInBucket] = this.buckets[bucket]!;
    this.buckets[bucket] = i;
  }

  protected unchain(i: number): void {
    const { words } = this;
    const bucket = words[(i << RECORD_SHIFT) + Word.Bucket]!;
    const next = words[(i << RECORD_SHIFT) + Word.NextInBucket]!;
    let at = this.buckets[bucket]!;
    if (at === i) {
      this.buckets[bucket] = next;
      return;
    }
    for (;;) {
      const link = (at << RECORD_SHIFT) + Word.NextInBucket;
      at = words[link]!;
      if (at !== i) continue;
      words[link] = next;
      return;
    }
  }

  /** An entry with these fields is there from now on. */
  protected count(sizes: number, context: number, vaHi: number, vaLo: number): void {
    const shift = sizes & SIZE_BITS;
    this.entriesOfVmid[(context >>> 16) & (VMID_BUCKETS - 1)]!++;
    if (isFragment(sizes)) this.fragmentCount++;
    this.regions.count(shift, vaHi, vaLo, 1);
    if (this.#entriesOfSize[shift]!++ !== 0) return;
    assert(this.sizeCount < SIZES_MAX, 'more page sizes than any granule has');
    this.sizes[this.sizeCount++] = shift;
  }

  protected uncount(i: number): void {
    const { words } = this;
    const at = i << RECORD_SHIFT;
    const sizes = words[at + Word.Sizes]!;
    const shift = sizes & SIZE_BITS;
    this.entriesOfVmid[(words[at + Word.Context]! >>> 16) & (VMID_BUCKETS - 1)]!--;
    if (isFragment(sizes)) this.fragmentCount--;
    this.regions.count(shift, words[at + Word.VaHi]!, words[at + Word.VaLo]!, -1);
    if (--this.#entriesOfSize[shift]! !== 0) return;
    let k = 0;
    while (this.sizes[k] !== shift) k++;
    this.sizes[k] = this.sizes[--this.sizeCount]!;
  }
}
