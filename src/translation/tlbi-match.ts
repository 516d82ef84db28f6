/**
 * Which cached translations a TLBI removes (Arm ARM D8.14; facts of each form in operations.ts).
 * One reusable object per receiver: `set` decodes an operation once, the predicates are then pure.
 *
 * - VA and ASID forms act on the issuer's regime; VMALLE1, IPAS2 and VMALLS12 on the issuer's VMID.
 * - A by-VA form with an ASID also takes global entries; an ASID form leaves global leaf entries.
 * - IPAS2 forms take stage-2-only entries and never combined ones.
 * - Last-level forms leave table entries (walk caches), all other forms take the matching ones.
 *
 * Guest forms with VMID 0 take nothing: VMID 0 is the host (context.ts).
 */

import { Regime, Tlbi } from '../cpu/operations.ts';
import { packContext, VMID_MASK } from './context.ts';
import { sizeMaskHi, sizeMaskLo } from './granule.ts';

const TWO_32 = 0x1_0000_0000;

/** What the decoded operation selects entries by, beside the tag. */
const Select = { Address: 0, Asid: 1, All: 2 } as const;
type Select = (typeof Select)[keyof typeof Select];

export class TlbiMatch {
  /** Takes stage-1 and combined entries, and stage-1 tables. */
  stage1 = false;
  /** Takes stage-2-only entries (IPA to PA), and stage-2 tables. */
  stage2 = false;
  /** Last-level form: table entries stay. */
  lastLevel = false;
  /** Entries of every guest, whatever the VMID. */
  everyGuest = false;
  /** Tag to compare under the mask (unless everyGuest). */
  context = 0;
  contextMask = -1;
  select: Select = Select.All;
  /** First and last byte of the addresses, when selected by address. */
  firstHi = 0;
  firstLo = 0;
  lastHi = 0;
  lastLo = 0;
  /** Selected by one granule page: candidates can be found by hash. */
  onePage = false;
  granuleShift = 12;

  /**
   * Decodes an operation as issued: `regime`, `vmid` (VTTBR) and `asid` are the issuer's at that
   * time, `pages` counts granules of 2^granuleShift bytes in a range form.
   */
  set(
    operation: Tlbi,
    regime: Regime,
    vmid: number,
    asid: number,
    addressHi: number,
    addressLo: number,
    pages: number,
    granuleShift: number,
  ): void {
    this.stage1 = false;
    this.stage2 = false;
    this.everyGuest = false;
    this.lastLevel = operation === Tlbi.VaLE1Is;
    this.contextMask = VMID_MASK;
    this.select = Select.All;
    this.onePage = false;
    switch (operation) {
      case Tlbi.VaE1:
      case Tlbi.VaE1Is:
      case Tlbi.VaLE1Is:
      case Tlbi.VaaE1Is:
      case Tlbi.RvaE1Is:
      case Tlbi.AsidE1Is:
        this.#byRegime(operation, regime, vmid, asid);
        break;
      case Tlbi.VmallE1:
      case Tlbi.VmallE1Is:
      case Tlbi.VmallS12E1Is:
      case Tlbi.IpaS2E1:
      case Tlbi.IpaS2E1Is:
      case Tlbi.RipaS2E1Is:
        this.#byVmid(operation, vmid);
        break;
      case Tlbi.AllE1Is:
        this.stage1 = this.stage2 = this.everyGuest = true;
        this.select = Select.All;
        break;
      case Tlbi.VmallHost:
      case Tlbi.VmallHostIs:
        this.stage1 = true;
        this.context = 0;
        this.select = Select.All;
        break;
      default:
        // Instruction-cache forms touch no translation.
        return;
    }
    if (!this.stage1 && !this.stage2) return;
    if (!this.#selectsAddress()) return;
    const range = operation === Tlbi.RvaE1Is || operation === Tlbi.RipaS2E1Is;
    this.#setRange(addressHi, addressLo, range ? pages : 1, granuleShift);
  }

  #selectsAddress(): boolean {
    return this.select === Select.Address;
  }

  #byRegime(operation: Tlbi, regime: Regime, vmid: number, asid: number): void {
    if (regime === Regime.Guest && vmid === 0) return;
    this.stage1 = true;
    this.context = packContext(regime, vmid, asid);
    if (operation !== Tlbi.VaaE1Is) this.contextMask = -1;
    this.select = operation === Tlbi.AsidE1Is ? Select.Asid : Select.Address;
  }

  #byVmid(operation: Tlbi, vmid: number): void {
    if (vmid === 0) return;
    this.context = packContext(Regime.Guest, vmid, 0);
    const byIpa =
      operation === Tlbi.IpaS2E1 || operation === Tlbi.IpaS2E1Is || operation === Tlbi.RipaS2E1Is;
    this.stage1 = !byIpa;
    this.stage2 = byIpa || operation === Tlbi.VmallS12E1Is;
    this.select = byIpa ? Select.Address : Select.All;
  }

  #setRange(hi: number, lo: number, pages: number, granuleShift: number): void {
    const firstLo = lo & sizeMaskLo(granuleShift);
    const end = (firstLo >>> 0) + pages * 2 ** granuleShift - 1;
    const carry = Math.floor(end / TWO_32);
    this.granuleShift = granuleShift;
    this.firstHi = hi;
    this.firstLo = firstLo;
    this.lastLo = end | 0;
    this.lastHi = (hi + carry) | 0;
    if ((hi >>> 0) + carry >= TWO_32) this.lastHi = this.lastLo = -1;
    this.onePage = pages === 1;
    if (pages < 1) this.stage1 = this.stage2 = false;
  }

  /** By tag alone; contextMask of an entry: -1, or VMID_MASK when it is global. */
  matchesTag(context: number, contextMask: number): boolean {
    if (this.everyGuest) return context >>> 16 !== 0;
    return ((context ^ this.context) & this.contextMask & contextMask) === 0;
  }

  /** Does the addresses' range meet [base, base + 2^shift)? The base need not be aligned. */
  matchesAddress(hi: number, lo: number, shift: number): boolean {
    const maskHi = sizeMaskHi(shift);
    const maskLo = sizeMaskLo(shift);
    const baseHi = (hi & maskHi) >>> 0;
    const endHi = (hi | ~maskHi) >>> 0;
    const firstHi = this.firstHi >>> 0;
    const lastHi = this.lastHi >>> 0;
    if (endHi < firstHi || baseHi > lastHi) return false;
    if (endHi === firstHi && (lo | ~maskLo) >>> 0 < this.firstLo >>> 0) return false;
    return !(baseHi === lastHi && (lo & maskLo) >>> 0 > this.lastLo >>> 0);
  }

  /**
   * A leaf translation of a virtual address, host stage 1 or combined. `stage1Shift` is the size
   * that stage 1 maps, which may exceed the entry's own: one address takes all its fragments.
   */
  matchesLeaf(
    context: number,
    contextMask: number,
    vaHi: number,
    vaLo: number,
    stage1Shift: number,
  ): boolean {
    if (!this.stage1 || !this.matchesTag(context, contextMask)) return false;
    if (this.select === Select.Address) return this.matchesAddress(vaHi, vaLo, stage1Shift);
    return this.select === Select.All || contextMask === -1;
  }

  /** A cached stage-1 table descriptor that covers 2^shift bytes at the virtual address. */
  matchesStage1Table(context: number, vaHi: number, vaLo: number, shift: number): boolean {
    if (this.lastLevel) return false;
    return this.matchesLeaf(context, -1, vaHi, vaLo, shift);
  }

  /** A stage-2-only entry, leaf or table (no form is last-level), of 2^shift bytes at the IPA. */
  matchesStage2(context: number, ipaHi: number, ipaLo: number, shift: number): boolean {
    if (!this.stage2 || !this.matchesTag(context, VMID_MASK)) return false;
    return this.select === Select.All || this.matchesAddress(ipaHi, ipaLo, shift);
  }

  /**
   * Must a walk under way start over (ER-X2)? It has read descriptors covering at most
   * 2^topShift and at least 2^lowShift bytes around the virtual address (both 0: none yet).
   * Any stage-2 form of the VMID hits a nested walk: the IPAs that it has read are not kept.
   */
  matchesWalk(
    context: number,
    vaHi: number,
    vaLo: number,
    topShift: number,
    lowShift: number,
  ): boolean {
    if (topShift === 0) return false;
    if (this.stage2 && this.matchesTag(context, VMID_MASK)) return true;
    const shift = this.lastLevel ? lowShift : topShift;
    // A walk may end in a global leaf: an ASID form then errs on the side of one more walk.
    if (!this.stage1 || !this.matchesTag(context, VMID_MASK)) return false;
    if (this.select !== Select.Address) return this.matchesTag(context, -1);
    return this.matchesAddress(vaHi, vaLo, shift);
  }
}
