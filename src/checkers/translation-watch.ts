/**
 * Stale translations and break-before-make on one CPU, checked as they happen (domain.md 7.9: I1,
 * I4; Arm ARM D8.14, D8.16). Once a TLBI has taken effect on a CPU,
 * - no TLB or walk cache of it holds an entry that the TLBI takes;
 * - no walk that began before fills an entry (ER-X2);
 * - no access that was translated before is performed (ER-X3).
 * And a fill never meets a valid entry for the same address that maps elsewhere, or in another size
 * on a CPU without FEAT_BBM.
 *
 * That TLBIs take effect everywhere before the issuer's DSB is done is counted in dvm-watch.ts;
 * what programs forget to invalidate shows in the replay of the translation log.
 */

import { PERM_EXEC, PERM_USER, PERM_WRITE } from '../translation/descriptors.ts';
import { sizeMaskHi, sizeMaskLo } from '../translation/granule.ts';
import { TlbKind } from '../translation/tlb.ts';
import type { TlbiMatch } from '../translation/tlbi-match.ts';
import { matchOf, type TlbiRecord, takesEntry } from './tlbi-record.ts';
import { TranslationLog } from './translation-log.ts';
import { Findings, Rule, Space, type Violation } from './violation.ts';
import { WatchedTlb } from './watched-tlb.ts';

/** The clock of the CPU that is watched. */
export interface Clock {
  readonly clock: number;
}

const NONE = -1;

const W_X = PERM_WRITE | PERM_EXEC;
const W_X_USER = W_X | PERM_USER;

export class TranslationWatch {
  readonly log: TranslationLog;
  readonly findings: Record<'translations' | 'breakBeforeMake' | 'writeXorExecute', Findings> = {
    translations: new Findings(),
    writeXorExecute: new Findings(),
    breakBeforeMake: new Findings(),
  };
  tlbiCount = 0;
  readonly #cpu: number;
  readonly #clock: Clock;
  readonly #sizesMayDiffer: boolean;
  readonly #tlbs: WatchedTlb[] = [];
  /** Boundary on which a TLBI of another CPU takes effect; NONE: the CPU's own clock counts. */
  #effectPs = NONE;
  #issuer = NONE;
  #sequence = 0;
  // The walk under way.
  #walkStartPs = 0;
  /** It has read a descriptor or used the walk cache: before, a TLBI does not concern it. */
  #walkHasRead = false;
  #rootHi = 0;
  #rootLo = 0;
  readonly #passed: TlbiRecord[] = [];
  // The entry being inserted.
  readonly #new = new Int32Array(8);
  #newGlobal = false;
  // The combined entry used last, and when a TLBI took it.
  readonly #used = new Int32Array(6);
  #usedRow = -1;
  #usedDeadPs = NONE;
  #lastFill: WatchedTlb | null = null;
  #lastFillEntry = 0;

  /** `rowsMax`: translations that are kept for the replay. */
  constructor(cpu: number, clock: Clock, bbm: string, rowsMax: number) {
    this.log = new TranslationLog(rowsMax);
    this.#cpu = cpu;
    this.#clock = clock;
    this.#sizesMayDiffer = bbm !== '0';
  }

  newTlb(entries: number, ways: number, kind: TlbKind, below: WatchedTlb | null): WatchedTlb {
    const tlb = new WatchedTlb(entries, ways, kind, this, below);
    this.#tlbs.push(tlb);
    return tlb;
  }

  get clockPs(): number {
    return this.#clock.clock;
  }

  get nowPs(): number {
    return this.#effectPs === NONE ? this.#clock.clock : this.#effectPs;
  }

  // ---- walks and fills ------------------------------------------------------------------------

  /** A walk begins, or begins again. */
  walkStarts(rootHi: number, rootLo: number): void {
    this.#walkStartPs = this.#clock.clock;
    this.#walkHasRead = false;
    this.#rootHi = rootHi;
    this.#rootLo = rootLo;
    this.#passed.length = 0;
  }

  /** The walk under way has something to go stale from now on. */
  walkReads(atPs: number): void {
    if (this.#walkHasRead) return;
    this.#walkHasRead = true;
    this.#walkStartPs = atPs;
  }

  incoming(
    context: number,
    global: boolean,
    hi: number,
    lo: number,
    stage1Shift: number,
    stage2Shift: number,
    paHi: number,
    paLo: number,
    permissions: number,
  ): void {
    const entry = this.#new;
    entry[0] = context;
    entry[1] = hi;
    entry[2] = lo;
    entry[3] = stage1Shift;
    entry[4] = stage2Shift;
    entry[5] = paHi;
    entry[6] = paLo;
    entry[7] = permissions;
    this.#newGlobal = global;
  }

  /**
   * A valid entry makes way for the incoming one: it is evicted, or stands for the same address.
   */
  replaced(tlb: WatchedTlb, i: number): void {
    const entry = this.#new;
    const shift = smaller(entry[3]!, entry[4]!);
    const common = Math.max(shift, tlb.sizeShift(i));
    const maskHi = sizeMaskHi(common);
    const maskLo = sizeMaskLo(common);
    if ((((tlb.vaHi(i) ^ entry[1]!) & maskHi) | ((tlb.vaLo(i) ^ entry[2]!) & maskLo)) !== 0) return;
    const text = this.#disagreement(tlb, i, shift);
    if (text === null) return;
    this.findings.breakBeforeMake.add(
      this.#violation(Rule.BreakBeforeMake, text, spaceOf(tlb), entry[1]!, entry[2]!),
    );
  }

  #disagreement(tlb: WatchedTlb, i: number, shift: number): string | null {
    const entry = this.#new;
    // Output addresses of one byte that both translate: of the smaller entry's first.
    const least = Math.min(shift, tlb.sizeShift(i));
    const byteHi = (shift <= tlb.sizeShift(i) ? entry[1]! : tlb.vaHi(i)) & sizeMaskHi(least);
    const byteLo = (shift <= tlb.sizeShift(i) ? entry[2]! : tlb.vaLo(i)) & sizeMaskLo(least);
    const oldHi = tlb.paHi(i) | (byteHi & ~tlb.maskHi(i));
    const oldLo = tlb.paLo(i) | (byteLo & ~tlb.maskLo(i));
    const newHi = (entry[5]! & sizeMaskHi(shift)) | (byteHi & ~sizeMaskHi(shift));
    const newLo = (entry[6]! & sizeMaskLo(shift)) | (byteLo & ~sizeMaskLo(shift));
    const writable = ((entry[7]! | tlb.permissions(i)) & PERM_WRITE) !== 0;
    if (writable && (oldHi !== newHi || oldLo !== newLo)) {
      return 'fills a translation while another of the same address with another output is valid';
    }
    if ((tlb.contextMask(i) !== -1) !== this.#newGlobal) {
      return 'fills a translation while another of the same address is valid, one of them global';
    }
    if (this.#sizesMayDiffer) return null;
    if (tlb.stage1Shift(i) === entry[3] && tlb.stage2Shift(i) === entry[4]) return null;
    return 'fills a translation while another of the same address with another size is valid';
  }

  /**
   * Row of an entry that is no copy of another level's; `first`: an L1 TLB, filled before the L2.
   */
  rowOfFill(tlb: WatchedTlb, i: number, first: boolean): number {
    if (first) this.#checkPassed(tlb, i);
    const context = tlb.context(i);
    if (context >>> 16 === 0 && tlb.vaHi(i) < 0) {
      this.#checkKernelMapping(tlb, i);
      return -1;
    }
    if (tlb.kind === TlbKind.Combined && !first && this.#isSecondCopy(tlb, i)) {
      return this.#lastFill!.rowOf[this.#lastFillEntry]!;
    }
    const filledPs = tlb.filledAt[i]!;
    const row = this.log.add(Math.min(this.#walkStartPs, filledPs), filledPs);
    if (row < 0) return row;
    const { rows } = this.log;
    rows.kind[row] = tlb.kind;
    rows.context[row] = context;
    rows.contextMask[row] = tlb.contextMask(i);
    rows.inputHi[row] = tlb.vaHi(i);
    rows.inputLo[row] = tlb.vaLo(i);
    rows.ipaHi[row] = tlb.ipaHi(i);
    rows.ipaLo[row] = tlb.ipaLo(i);
    rows.paHi[row] = tlb.paHi(i);
    rows.paLo[row] = tlb.paLo(i);
    rows.permissions[row] = tlb.permissions(i);
    rows.stage1Shift[row] = tlb.stage1Shift(i);
    rows.stage2Shift[row] = tlb.stage2Shift(i);
    rows.rootHi[row] = this.#rootHi;
    rows.rootLo[row] = this.#rootLo;
    this.#lastFill = tlb;
    this.#lastFillEntry = i;
    return row;
  }

  #isSecondCopy(tlb: WatchedTlb, i: number): boolean {
    const other = this.#lastFill;
    const j = this.#lastFillEntry;
    return (
      other !== null &&
      other !== tlb &&
      other.kind === TlbKind.Combined &&
      other.rowOf[j]! >= 0 &&
      other.filledAt[j] === tlb.filledAt[i] &&
      other.context(j) === tlb.context(i) &&
      other.vaHi(j) === tlb.vaHi(i) &&
      other.vaLo(j) === tlb.vaLo(i)
    );
  }

  #checkPassed(tlb: WatchedTlb, i: number): void {
    for (const record of this.#passed) {
      if (!this.#taken(matchOf(record), tlb, i)) continue;
      this.#stale('fills a translation by a walk that a TLBI passed', tlb, i);
    }
    this.#passed.length = 0;
  }

  dropped(row: number): void {
    this.log.dropped(row, this.nowPs, this.#issuer, this.#sequence);
  }

  /** The address of a table is known only after the insertion. */
  complete(tlb: WatchedTlb, i: number): void {
    if (tlb.kind !== TlbKind.Table) return;
    const row = tlb.rowOf[i]!;
    this.log.rows.paHi[row] = tlb.paHi(i);
    this.log.rows.paLo[row] = tlb.paLo(i);
  }

  /** After the run. */
  close(): void {
    for (const tlb of this.#tlbs) {
      for (let k = 0; k < tlb.validCount; k++) {
        const i = tlb.valid[k]!;
        if (tlb.rowOf[i]! >= 0) this.complete(tlb, i);
      }
    }
  }

  // ---- uses -----------------------------------------------------------------------------------

  used(tlb: WatchedTlb, i: number): void {
    const row = tlb.rowOf[i]!;
    if (row >= 0) this.log.used(row, this.#clock.clock);
    if (tlb.kind !== TlbKind.Combined) {
      this.walkReads(this.#clock.clock);
      return;
    }
    const used = this.#used;
    used[0] = tlb.context(i);
    used[1] = tlb.contextMask(i);
    used[2] = tlb.vaHi(i);
    used[3] = tlb.vaLo(i);
    used[4] = tlb.stage1Shift(i);
    this.#usedRow = row;
    this.#usedDeadPs = NONE;
  }

  /** An access through the translation used last takes place. */
  accessed(write: boolean, atPs: number): void {
    if (this.#usedDeadPs !== NONE && atPs >= this.#usedDeadPs) {
      const text = 'performs an access with a translation that a TLBI took meanwhile';
      const [, , hi, lo] = this.#used;
      this.findings.translations.add(
        this.#violation(Rule.Translations, text, Space.Virtual, hi!, lo!),
      );
    }
    const row = this.#usedRow;
    if (row < 0) return;
    this.log.used(row, atPs);
    if (write) this.log.written(row, atPs);
  }

  // ---- TLB invalidation -----------------------------------------------------------------------

  /** A TLBI of another CPU is about to take effect: the issuer's `sequence`-th. */
  remoteTlbiBegins(effectPs: number, issuer: number, sequence: number): void {
    this.#effectPs = effectPs;
    this.#issuer = issuer;
    this.#sequence = sequence;
  }

  /** As remoteTlbiBegins, for this CPU's own, which takes effect here at once. */
  ownTlbiBegins(sequence: number): void {
    this.#issuer = this.#cpu;
    this.#sequence = sequence;
  }

  /** The TLBI has taken what it takes. */
  tlbiApplied(match: TlbiMatch, record: TlbiRecord, walking: boolean): void {
    this.tlbiCount++;
    if (walking && this.#walkHasRead) this.#passed.push(record);
    for (const tlb of this.#tlbs) {
      for (let k = 0; k < tlb.validCount; k++) {
        const i = tlb.valid[k]!;
        if (this.#taken(match, tlb, i)) this.#stale('holds a translation after its TLBI', tlb, i);
      }
    }
    const [context, contextMask, hi, lo, shift] = this.#used;
    if (shift !== 0 && match.matchesLeaf(context!, contextMask!, hi!, lo!, shift!)) {
      this.#usedDeadPs = this.nowPs;
    }
    this.#effectPs = NONE;
    this.#issuer = NONE;
  }

  #taken(match: TlbiMatch, tlb: WatchedTlb, i: number): boolean {
    return takesEntry(
      match,
      tlb.kind,
      tlb.context(i),
      tlb.contextMask(i),
      tlb.vaHi(i),
      tlb.vaLo(i),
      tlb.stage1Shift(i),
      tlb.permissions(i),
    );
  }

  /** The kernel's own memory; of a table entry the permissions are none. */
  #checkKernelMapping(tlb: WatchedTlb, i: number): void {
    if (tlb.kind !== TlbKind.Combined || (tlb.permissions(i) & W_X_USER) !== W_X) return;
    const text = 'uses kernel memory that is writable and executable in one mapping';
    this.findings.writeXorExecute.add(
      this.#violation(Rule.WriteXorExecute, text, Space.Virtual, tlb.vaHi(i), tlb.vaLo(i)),
    );
  }

  #stale(text: string, tlb: WatchedTlb, i: number): void {
    this.findings.translations.add(
      this.#violation(Rule.Translations, text, spaceOf(tlb), tlb.vaHi(i), tlb.vaLo(i)),
    );
  }

  #violation(rule: Rule, text: string, space: Space, hi: number, lo: number): Violation {
    return { rule, timePs: this.nowPs, cpus: [this.#cpu], text, space, hi, lo };
  }
}

function smaller(stage1Shift: number, stage2Shift: number): number {
  return stage2Shift !== 0 && stage2Shift < stage1Shift ? stage2Shift : stage1Shift;
}

function spaceOf(tlb: WatchedTlb): Space {
  return tlb.kind === TlbKind.Stage2Only ? Space.Ipa : Space.Virtual;
}
