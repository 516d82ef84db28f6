/**
 * The simplest TLB that can be written: an array in order of use, BigInt addresses, every question
 * answered by looking at every entry. Shares no code with src/translation, so that the two can only
 * agree by being right. TLBI forms are restated here from the Arm ARM, one predicate each.
 */

import { Regime, Tlbi } from '../../src/cpu/operations.ts';

export type NaiveKind = 'combined' | 'stage2';

export interface NaiveEntry {
  readonly regime: Regime;
  readonly vmid: number;
  readonly asid: number;
  readonly global: boolean;
  readonly base: bigint;
  readonly shift: number;
  readonly stage1Shift: number;
  readonly output: bigint;
  readonly set: number;
}

export interface NaiveTlbi {
  readonly operation: Tlbi;
  readonly regime: Regime;
  readonly vmid: number;
  readonly asid: number;
  readonly address: bigint;
  readonly pages: number;
  readonly granuleShift: number;
}

const isRange = (operation: Tlbi): boolean =>
  operation === Tlbi.RvaE1Is || operation === Tlbi.RipaS2E1Is;

/** [first, last] of the operation's addresses meets [base, base + 2^shift). */
export function meets(tlbi: NaiveTlbi, base: bigint, shift: number): boolean {
  const page = 1n << BigInt(tlbi.granuleShift);
  const first = (tlbi.address / page) * page;
  const pages = isRange(tlbi.operation) ? BigInt(tlbi.pages) : 1n;
  const last = first + pages * page - 1n;
  const top = base + (1n << BigInt(shift)) - 1n;
  return base <= last && top >= first;
}

/** Does the operation act on stage-1 entries with this tag, as far as tags go? */
export function takesStage1Tag(tlbi: NaiveTlbi, entry: NaiveEntry): boolean {
  const sameRegime = entry.regime === tlbi.regime;
  const sameVmid = entry.regime === Regime.Host || entry.vmid === tlbi.vmid;
  const asidFits = entry.global || entry.asid === tlbi.asid;
  switch (tlbi.operation) {
    case Tlbi.VaE1:
    case Tlbi.VaE1Is:
    case Tlbi.VaLE1Is:
    case Tlbi.RvaE1Is:
      return sameRegime && sameVmid && asidFits;
    case Tlbi.VaaE1Is:
      return sameRegime && sameVmid;
    case Tlbi.AsidE1Is:
      return sameRegime && sameVmid && !entry.global && entry.asid === tlbi.asid;
    case Tlbi.VmallE1:
    case Tlbi.VmallE1Is:
    case Tlbi.VmallS12E1Is:
      return entry.regime === Regime.Guest && entry.vmid === tlbi.vmid;
    case Tlbi.AllE1Is:
      return entry.regime === Regime.Guest;
    case Tlbi.VmallHost:
    case Tlbi.VmallHostIs:
      return entry.regime === Regime.Host;
    default:
      return false;
  }
}

const BY_VA: readonly Tlbi[] = [Tlbi.VaE1, Tlbi.VaE1Is, Tlbi.VaLE1Is, Tlbi.RvaE1Is, Tlbi.VaaE1Is];

export function takesStage1(tlbi: NaiveTlbi, entry: NaiveEntry): boolean {
  if (!takesStage1Tag(tlbi, entry)) return false;
  if (!BY_VA.includes(tlbi.operation)) return true;
  const size = 1n << BigInt(entry.stage1Shift);
  return meets(tlbi, (entry.base / size) * size, entry.stage1Shift);
}

export function takesStage2(tlbi: NaiveTlbi, vmid: number, base: bigint, shift: number): boolean {
  switch (tlbi.operation) {
    case Tlbi.IpaS2E1:
    case Tlbi.IpaS2E1Is:
    case Tlbi.RipaS2E1Is:
      return vmid === tlbi.vmid && meets(tlbi, base, shift);
    case Tlbi.VmallS12E1Is:
      return vmid === tlbi.vmid;
    case Tlbi.AllE1Is:
      return true;
    default:
      return false;
  }
}

export class NaiveTlb {
  /** Least recently used first. */
  entries: NaiveEntry[] = [];
  readonly kind: NaiveKind;
  readonly sets: number;
  readonly ways: number;

  constructor(kind: NaiveKind, entries: number, ways: number) {
    this.kind = kind;
    this.ways = ways === 0 ? entries : ways;
    this.sets = entries / this.ways;
  }

  lookup(regime: Regime, vmid: number, asid: number, address: bigint): NaiveEntry | undefined {
    const found = this.entries.filter(
      (entry) =>
        entry.regime === regime &&
        (regime === Regime.Host || entry.vmid === vmid) &&
        (entry.global || entry.asid === asid) &&
        address >= entry.base &&
        address < entry.base + (1n << BigInt(entry.shift)),
    );
    if (found.length > 1) throw new Error('two entries answer');
    const entry = found[0];
    if (entry === undefined) return undefined;
    this.entries = [...this.entries.filter((other) => other !== entry), entry];
    return entry;
  }

  insert(fresh: Omit<NaiveEntry, 'set'>): void {
    const set = Number((fresh.base >> BigInt(fresh.shift)) & 0xffffffffn) % this.sets;
    this.entries = this.entries.filter((old) => !overlaps(old, fresh));
    const mates = this.entries.filter((old) => old.set === set);
    if (mates.length === this.ways) {
      this.entries = this.entries.filter((old) => old !== mates[0]);
    }
    this.entries.push({ ...fresh, set });
  }

  /** Returns how many entries went. */
  invalidate(tlbi: NaiveTlbi): number {
    const before = this.entries.length;
    this.entries = this.entries.filter((entry) =>
      this.kind === 'combined'
        ? !takesStage1(tlbi, entry)
        : !takesStage2(tlbi, entry.vmid, entry.base, entry.shift),
    );
    return before - this.entries.length;
  }
}

function overlaps(a: Omit<NaiveEntry, 'set'>, b: Omit<NaiveEntry, 'set'>): boolean {
  if (a.regime !== b.regime || (a.regime === Regime.Guest && a.vmid !== b.vmid)) return false;
  if (!a.global && !b.global && a.asid !== b.asid) return false;
  return a.base < b.base + (1n << BigInt(b.shift)) && b.base < a.base + (1n << BigInt(a.shift));
}
