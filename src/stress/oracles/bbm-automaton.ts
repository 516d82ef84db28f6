/**
 * The break-before-make automaton, per descriptor (Arm ARM D8.16.1; the states of casemate's
 * page-table model): valid -> broken (invalid is written) -> visible to walkers -> taken from every
 * TLB by TLBIs that cover it (flush-progress.ts) -> free to be made anew.
 *
 * In place may change: permissions, access flag, dirty state, software bits; the output address
 * between two pages of the same contents that nobody can write (rule of contents); the size on a
 * machine with FEAT_BBM. Beside that, table pages: one is neither freed nor handed out again while
 * walkers may still find it in a TLB or walk cache, trees that tell their lock are written under
 * it, and a tag is not shared by two owners without a flush between.
 *
 * Who knows when a store becomes visible tells it then (`stores: 'visible'`); else a store counts
 * from its CPU's next DSB.
 */

import { isBroadcast } from '../../cpu/operations.ts';
import type { TlbiOperation } from '../../engine/explore/observer.ts';
import { isValid, PTE_AF, PTE_CONT_HI } from '../../translation/descriptors.ts';
import { GRANULE_4K, LAST_LEVEL, levelShift } from '../../translation/granule.ts';
import {
  S2_PERMISSION_MASK_HI,
  S2_PERMISSION_MASK_LO,
  S2_WRITE,
} from '../../translation/stage2-descriptors.ts';
import { type Broken, FlushProgress, Stage } from './flush-progress.ts';
import { pageNumber, type Span, type TableTrees } from './table-trees.ts';

/** Bits that may change in place: permissions and XN[0], dirty modifier, software [63, 58:55]. */
const FREE_HI = S2_PERMISSION_MASK_HI | 0x8788_0000 | 0x20_0000;
const FREE_LO = S2_PERMISSION_MASK_LO | PTE_AF;
const ADDRESS_HI = 0xffff;
const ADDRESS_LO = ~0xfff;
const PAGE_WORDS = 1024;

export interface AutomatonOptions {
  readonly stores: 'visible' | 'until-dsb';
  /** FEAT_BBM: a size may change without a break. */
  readonly sizesMayDiffer: boolean;
  word(hi: number, lo: number): number;
  /** `hi`, `lo`: physical address of the descriptor or the page. */
  fail(cpu: number, text: string, hi: number, lo: number): void;
}

interface Entry extends Broken {
  /** What it held, and where it is. */
  readonly hi: number;
  readonly lo: number;
  readonly page: number;
  readonly index: number;
  readonly writer: number;
  isVisible: boolean;
  isTable: boolean;
  stage: 1 | 2;
  spans: readonly Span[] | null;
  vmids: ReadonlySet<number>;
  /** By CPU: what each has done about it. */
  readonly progress: (FlushProgress | undefined)[];
}

const NO_VMIDS: ReadonlySet<number> = new Set();

export function sameMapping(aHi: number, aLo: number, bHi: number, bLo: number): boolean {
  return ((aHi ^ bHi) & ~FREE_HI) === 0 && ((aLo ^ bLo) & ~FREE_LO) === 0;
}

export class BbmAutomaton {
  readonly #trees: TableTrees;
  readonly #options: AutomatonOptions;
  readonly #broken = new Map<number, Entry>();
  /** By root: tags that translations through it were seen to have. */
  readonly #vmids = new Map<number, Set<number>>();

  constructor(trees: TableTrees, options: AutomatonOptions) {
    this.#trees = trees;
    this.#options = options;
  }

  /** Nothing is known of what comes. */
  begin(): void {
    if (this.#broken.size > 0) this.#broken.clear();
    if (this.#vmids.size > 0) this.#vmids.clear();
  }

  get waits(): boolean {
    return this.#broken.size > 0;
  }

  /** A translation through this root with this tag. */
  used(rootPage: number, vmid: number): void {
    let vmids = this.#vmids.get(rootPage);
    if (vmids === undefined) this.#vmids.set(rootPage, (vmids = new Set()));
    vmids.add(vmid);
  }

  /** A descriptor of a table page was changed. */
  store(
    cpu: number,
    hi: number,
    lo: number,
    oldHi: number,
    oldLo: number,
    newHi: number,
    newLo: number,
  ): void {
    const page = pageNumber(hi, lo);
    const index = (lo >>> 3) & 511;
    const key = page * 512 + index;
    if (isValid(oldLo)) {
      if (!isValid(newLo)) this.#broken.set(key, this.#entry(cpu, page, index, oldHi, oldLo));
      else this.#changedInPlace(cpu, hi, lo, page, oldHi, oldLo, newHi, newLo);
      return;
    }
    const before = this.#broken.get(key);
    if (before === undefined || !isValid(newLo)) return;
    this.#broken.delete(key);
    if (isClean(before) || sameMapping(before.hi, before.lo, newHi, newLo)) return;
    this.#options.fail(cpu, `makes a descriptor anew after ${whatIsMissing(before)}`, hi, lo);
  }

  tlbi(operation: TlbiOperation): void {
    if (this.#broken.size === 0 || !isBroadcast(operation.operation)) return;
    for (const entry of this.#broken.values()) {
      if (!entry.isVisible) continue;
      if (entry.spans === null) this.#locate(entry);
      this.#progressOf(entry, operation.issuer).issued(operation, entry);
    }
  }

  /** DSB of either kind: earlier stores of the CPU are visible. */
  storesVisible(cpu: number): void {
    for (const entry of this.#broken.values()) if (entry.writer === cpu) entry.isVisible = true;
  }

  dsb(cpu: number): void {
    this.storesVisible(cpu);
    for (const entry of this.#broken.values()) entry.progress[cpu]?.completed(entry);
  }

  /** A table page goes back, or is handed out: `what` says which. */
  pageChangesHands(cpu: number, page: number, what: string, hi: number, lo: number): void {
    for (const [key, entry] of this.#broken) {
      if (entry.page === page) this.#broken.delete(key);
      else if (entry.isTable && pageNumber(entry.hi, entry.lo) === page && !isClean(entry)) {
        const missing = whatIsMissing(entry);
        const text = `${what} a table page after ${missing} for the entry that led there`;
        this.#options.fail(cpu, text, hi, lo);
      }
    }
  }

  #entry(writer: number, page: number, index: number, hi: number, lo: number): Entry {
    const entry: Entry = {
      hi,
      lo,
      page,
      index,
      writer,
      isVisible: this.#options.stores === 'visible',
      isTable: false,
      stage: 2,
      spans: null,
      vmids: NO_VMIDS,
      progress: [],
    };
    this.#locate(entry);
    return entry;
  }

  #locate(entry: Entry): void {
    const place = this.#trees.placeOf(entry.page);
    if (place === null) return;
    entry.stage = place.tree.stage;
    entry.isTable = place.level < LAST_LEVEL && (entry.lo & 3) === 3;
    entry.vmids = this.#vmids.get(place.tree.page) ?? NO_VMIDS;
    const leaves: Span[] = [];
    this.#trees.leavesOf(place, entry.index, entry.hi, entry.lo, leaves);
    if (leaves.length === 0) {
      const bytes = 2 ** levelShift(GRANULE_4K, place.level);
      const first = place.base + entry.index * bytes;
      leaves.push({ first, last: first + bytes - 1 });
    }
    entry.spans = leaves;
  }

  #progressOf(entry: Entry, cpu: number): FlushProgress {
    return (entry.progress[cpu] ??= new FlushProgress());
  }

  #changedInPlace(
    cpu: number,
    hi: number,
    lo: number,
    page: number,
    oldHi: number,
    oldLo: number,
    newHi: number,
    newLo: number,
  ): void {
    if (sameMapping(oldHi, oldLo, newHi, newLo)) return;
    if ((oldLo & 3) !== (newLo & 3) && this.#options.sizesMayDiffer) return;
    if (((oldHi ^ newHi) & PTE_CONT_HI) !== 0 && this.#options.sizesMayDiffer) return;
    if (this.#outputsAreAlike(page, oldHi, oldLo, newHi, newLo)) return;
    this.#options.fail(cpu, 'changes a valid descriptor without breaking it first', hi, lo);
  }

  /** Two pages with the same contents that nobody can write: the output may change in place. */
  #outputsAreAlike(
    page: number,
    oldHi: number,
    oldLo: number,
    newHi: number,
    newLo: number,
  ): boolean {
    const sameElse = sameMapping(
      oldHi & ~ADDRESS_HI,
      oldLo & ~ADDRESS_LO,
      newHi & ~ADDRESS_HI,
      newLo & ~ADDRESS_LO,
    );
    const place = this.#trees.placeOf(page);
    if (!sameElse || place === null || place.level !== LAST_LEVEL) return false;
    if (place.tree.stage !== 2 || ((oldLo | newLo) & S2_WRITE) !== 0) return false;
    const { word } = this.#options;
    for (let at = 0; at < PAGE_WORDS; at++) {
      const old = word(oldHi & ADDRESS_HI, (oldLo & ADDRESS_LO) + at * 4);
      if (old !== word(newHi & ADDRESS_HI, (newLo & ADDRESS_LO) + at * 4)) return false;
    }
    return true;
  }
}

function isClean({ progress }: Entry): boolean {
  return progress.some((one) => one?.stage === Stage.Clean);
}

function whatIsMissing({ isVisible, progress }: Entry): string {
  if (!isVisible) return 'a break that no DSB made visible';
  const best = Math.max(Stage.Nothing, ...progress.map((one) => one?.stage ?? Stage.Nothing));
  switch (best) {
    case Stage.Nothing:
      return progress.some((one) => one !== undefined)
        ? 'a TLBI that does not cover it'
        : 'no TLBI';
    case Stage.Partly:
      return 'TLBIs that cover only a part of it';
    case Stage.Stage2Clean:
      return 'a TLBI of stage 2 alone';
    default:
      return 'a TLBI that is not complete';
  }
}
