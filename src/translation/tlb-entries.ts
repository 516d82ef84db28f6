/**
 * The entries of a TLB level as records of 16 words, one cache line of the host each: filling an
 * entry is bound by host cache misses, and arrays by field would touch a line each.
 */

/** Words of an entry. Masks clear the offset inside the entry's page. */
export const Word = {
  Context: 0,
  /** Hides the ASID if the entry is global. */
  ContextMask: 1,
  VaHi: 2,
  VaLo: 3,
  MaskHi: 4,
  MaskLo: 5,
  PaHi: 6,
  PaLo: 7,
  /** PERM_* bits; of a table: the stage, 1 or 2. */
  Permissions: 8,
  /** log2 of bytes: the entry [7:0] (0 = invalid), its stage 1 [15:8], stage 2 [23:16]. */
  Sizes: 9,
  IpaHi: 10,
  IpaLo: 11,
  /** Where the entry stands in `valid`. */
  Position: 12,
  Bucket: 13,
  NextInBucket: 14,
} as const;
export const RECORD_SHIFT = 4;
/** The first words, up to the IPA, are what a copy takes. */
export const COPIED_WORDS = 12;
export const SIZE_BITS = 0xff;
export const STAGE1_SIZE_SHIFT = 8;
export const STAGE2_SIZE_SHIFT = 16;

export class TlbEntries {
  readonly entries: number;
  protected readonly words: Int32Array;

  constructor(entries: number) {
    this.entries = entries;
    this.words = new Int32Array(entries << RECORD_SHIFT);
  }

  context(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.Context]!;
  }

  /** -1, or VMID_MASK of a global entry. */
  contextMask(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.ContextMask]!;
  }

  vaHi(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.VaHi]!;
  }

  vaLo(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.VaLo]!;
  }

  maskHi(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.MaskHi]!;
  }

  maskLo(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.MaskLo]!;
  }

  paHi(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.PaHi]!;
  }

  paLo(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.PaLo]!;
  }

  /** IPA of the entry's first byte (combined entries). */
  ipaHi(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.IpaHi]!;
  }

  ipaLo(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.IpaLo]!;
  }

  /** PERM_* bits; of a table: the stage, 1 or 2. */
  permissions(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.Permissions]!;
  }

  /** log2 of the bytes of the entry: the smaller of its two stages; 0 = invalid. */
  sizeShift(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.Sizes]! & SIZE_BITS;
  }

  stage1Shift(i: number): number {
    return (this.words[(i << RECORD_SHIFT) + Word.Sizes]! >> STAGE1_SIZE_SHIFT) & SIZE_BITS;
  }

  /** 0 = no stage 2. */
  stage2Shift(i: number): number {
    return this.words[(i << RECORD_SHIFT) + Word.Sizes]! >> STAGE2_SIZE_SHIFT;
  }

  /** Another output address, as it is: not cut to the entry's size. */
  setOutput(i: number, paHi: number, paLo: number): void {
    const at = i << RECORD_SHIFT;
    this.words[at + Word.PaHi] = paHi;
    this.words[at + Word.PaLo] = paLo;
  }
}

/** Is the entry smaller than what its stage 1 maps? */
export function isFragment(sizes: number): boolean {
  return (sizes & SIZE_BITS) < ((sizes >> STAGE1_SIZE_SHIFT) & SIZE_BITS);
}
