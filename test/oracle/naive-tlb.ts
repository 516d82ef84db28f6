/**
 * Translation caches of the naive engine: arrays in order of use (least recently used first), every
 * question answered by looking at every entry. TLBI forms are restated here from the Arm ARM.
 *
 * Addresses are plain numbers: a virtual address is its low 48 bits, plus 2^48 if it is a kernel
 * address (its upper half is all ones); intermediate and physical addresses are what they are.
 */

import { assert } from '../../src/base/assert.ts';
import { Tlbi } from '../../src/cpu/operations.ts';
import type { TlbGeometry } from '../../src/machine/machine.ts';

export interface TlbEntry {
  readonly vmid: number;
  readonly asid: number;
  readonly global: boolean;
  /** First address and log2 of the size: the smaller of the two stages. */
  readonly base: number;
  readonly shift: number;
  readonly stage1Shift: number;
  /** 0: no stage 2. */
  readonly stage2Shift: number;
  readonly ipa: number;
  readonly pa: number;
  readonly permissions: number;
}

/** A translation-cache tag: VMID 0 is the host. */
export interface Tag {
  readonly vmid: number;
  readonly asid: number;
}

export interface Maintenance {
  readonly operation: number;
  readonly tag: Tag;
  readonly address: number;
  readonly pages: number;
}

const PAGE_BYTES = 4096;

export function cut(address: number, shift: number): number {
  return Math.floor(address / 2 ** shift) * 2 ** shift;
}

export function contains(base: number, shift: number, address: number): boolean {
  return cut(address, shift) === base;
}

function overlap(a: number, aShift: number, b: number, bShift: number): boolean {
  return a < b + 2 ** bShift && b < a + 2 ** aShift;
}

export class NaiveTlb {
  entries: TlbEntry[] = [];
  readonly #ways: number;
  readonly #sets: number;

  constructor(geometry: Pick<TlbGeometry, 'entries' | 'ways'>) {
    this.#ways = geometry.ways === 0 ? geometry.entries : geometry.ways;
    this.#sets = geometry.entries / this.#ways;
  }

  #setOf(entry: TlbEntry): number {
    return Math.floor(entry.base / 2 ** entry.shift) % this.#sets;
  }

  /** The entry for the address, now the most recently used. */
  use(tag: Tag, address: number): TlbEntry | undefined {
    const found = this.entries.filter(
      (entry) =>
        entry.vmid === tag.vmid &&
        (entry.global || entry.asid === tag.asid) &&
        contains(entry.base, entry.shift, address),
    );
    assert(found.length < 2, 'two entries translate one address');
    const entry = found[0];
    if (entry === undefined) return undefined;
    this.entries = [...this.entries.filter((other) => other !== entry), entry];
    return entry;
  }

  /** What overlaps leaves, then the least recently used of a full set. */
  add(entry: TlbEntry): void {
    this.entries = this.entries.filter(
      (old) =>
        old.vmid !== entry.vmid ||
        !(old.global || entry.global || old.asid === entry.asid) ||
        !overlap(old.base, old.shift, entry.base, entry.shift),
    );
    const set = this.#setOf(entry);
    const mates = this.entries.filter((old) => this.#setOf(old) === set);
    if (mates.length === this.#ways) {
      this.entries = this.entries.filter((old) => old !== mates[0]);
    }
    this.entries.push(entry);
  }

  maintain(m: Maintenance): void {
    this.entries = this.entries.filter((entry) => !takesLeaf(m, entry));
  }
}

export interface StepEntry {
  readonly stage: 1 | 2;
  readonly tag: Tag;
  readonly base: number;
  readonly shift: number;
  /** A table: physical address of the next level's table. An IPA: physical address of `base`. */
  readonly pa: number;
  readonly permissions: number;
}

/** A fully associative array of steps of walks: tables of one level, or whole IPA translations. */
export class StepCache {
  entries: StepEntry[] = [];
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  use(stage: 1 | 2, tag: Tag, address: number): StepEntry | undefined {
    const entry = this.entries.find(
      (e) => e.stage === stage && sameTag(e.tag, tag) && contains(e.base, e.shift, address),
    );
    if (entry === undefined) return undefined;
    this.entries = [...this.entries.filter((other) => other !== entry), entry];
    return entry;
  }

  add(entry: StepEntry): void {
    this.entries = this.entries.filter(
      (old) =>
        old.stage !== entry.stage ||
        !sameTag(old.tag, entry.tag) ||
        !overlap(old.base, old.shift, entry.base, entry.shift),
    );
    if (this.entries.length === this.#capacity) this.entries.shift();
    this.entries.push(entry);
  }

  /** Tables stay under last-level forms; IPA translations don't care. */
  maintain(m: Maintenance, tables: boolean): void {
    if (tables && m.operation === Tlbi.VaLE1Is) return;
    this.entries = this.entries.filter((entry) => {
      if (entry.stage === 2) return !takesStage2(m, entry.tag.vmid, entry.base, entry.shift);
      const leaf = { ...entry, ...entry.tag, global: false, stage1Shift: entry.shift };
      return !takesLeaf(m, leaf);
    });
  }
}

function sameTag(a: Tag, b: Tag): boolean {
  return a.vmid === b.vmid && a.asid === b.asid;
}

/** Does [address, + pages) of the operation meet 2^shift bytes around the address? */
function meets(m: Maintenance, address: number, shift: number): boolean {
  const range = m.operation === Tlbi.RvaE1Is || m.operation === Tlbi.RipaS2E1Is;
  const first = cut(m.address, 12);
  const last = first + (range ? m.pages : 1) * PAGE_BYTES - 1;
  const base = cut(address, shift);
  return last >= first && base <= last && base + 2 ** shift - 1 >= first;
}

const BY_ADDRESS: readonly number[] = [Tlbi.VaE1, Tlbi.VaE1Is, Tlbi.VaLE1Is, Tlbi.RvaE1Is];
const BY_VMID: readonly number[] = [Tlbi.VmallE1, Tlbi.VmallE1Is, Tlbi.VmallS12E1Is];
const BY_IPA: readonly number[] = [Tlbi.IpaS2E1, Tlbi.IpaS2E1Is, Tlbi.RipaS2E1Is];
const ALL_OF_HOST: readonly number[] = [Tlbi.VmallHost, Tlbi.VmallHostIs];

export function takesLeaf(
  m: Maintenance,
  entry: Pick<TlbEntry, 'vmid' | 'asid' | 'global' | 'base' | 'stage1Shift'>,
): boolean {
  const sameVmid = entry.vmid === m.tag.vmid;
  const asidFits = entry.global || entry.asid === m.tag.asid;
  const inRange = (): boolean => meets(m, entry.base, entry.stage1Shift);
  if (BY_ADDRESS.includes(m.operation)) return sameVmid && asidFits && inRange();
  if (m.operation === Tlbi.VaaE1Is) return sameVmid && inRange();
  if (m.operation === Tlbi.AsidE1Is) {
    return sameVmid && !entry.global && entry.asid === m.tag.asid;
  }
  if (BY_VMID.includes(m.operation)) return m.tag.vmid !== 0 && sameVmid;
  if (ALL_OF_HOST.includes(m.operation)) return entry.vmid === 0;
  return m.operation === Tlbi.AllE1Is && entry.vmid !== 0;
}

export function takesStage2(m: Maintenance, vmid: number, base: number, shift: number): boolean {
  const sameVmid = m.tag.vmid !== 0 && vmid === m.tag.vmid;
  if (BY_IPA.includes(m.operation)) return sameVmid && meets(m, base, shift);
  if (m.operation === Tlbi.VmallS12E1Is) return sameVmid;
  return m.operation === Tlbi.AllE1Is;
}

/**
 * Must what is under way at the address start over? `top` and `low`: sizes of the largest and the
 * smallest descriptor that it rests on (of an access: the leaf's size, twice). Errs on the safe
 * side: addresses are compared whatever the ASID, and a guest rests on every stage-2 entry of its
 * VM.
 */
export function takesWalk(
  m: Maintenance,
  tag: Tag,
  address: number,
  top: number,
  low: number,
): boolean {
  if (top === 0) return false;
  const sameVmid = m.tag.vmid !== 0 && tag.vmid === m.tag.vmid;
  if (BY_IPA.includes(m.operation) || m.operation === Tlbi.VmallS12E1Is) return sameVmid;
  if (m.operation === Tlbi.AllE1Is) return tag.vmid !== 0;
  if (BY_VMID.includes(m.operation)) return sameVmid;
  if (ALL_OF_HOST.includes(m.operation)) return tag.vmid === 0;
  if (tag.vmid !== m.tag.vmid) return false;
  if (m.operation === Tlbi.AsidE1Is) return tag.asid === m.tag.asid;
  if (BY_ADDRESS.includes(m.operation) || m.operation === Tlbi.VaaE1Is) {
    return meets(m, address, m.operation === Tlbi.VaLE1Is ? low : top);
  }
  return false;
}
