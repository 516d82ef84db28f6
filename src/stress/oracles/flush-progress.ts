/**
 * How far one CPU has come with taking a broken translation from all TLBs: TLBIs that cover it, a
 * DSB, for stage 2 then the guest's combined entries and a DSB again (Arm ARM D8.17; KVM's
 * __kvm_tlb_flush_vmid_ipa and the reason it gives for its order).
 *
 * A TLBI by address takes a leaf when it names any address of it. What a table led to is gone when
 * each leaf below it is; forms for the last level only leave the table itself.
 */

import { Tlbi } from '../../cpu/operations.ts';
import type { TlbiOperation } from '../../engine/explore/observer.ts';
import type { Span } from './table-trees.ts';

export const Stage = {
  /** Nothing that covers it was issued. */
  Nothing: 0,
  /** Some of its leaves are taken. */
  Partly: 1,
  Issued: 2,
  /** Stage 2 is clean; combined entries of the guest may be left. */
  Stage2Clean: 3,
  CombinedIssued: 4,
  Clean: 5,
} as const;
export type Stage = (typeof Stage)[keyof typeof Stage];

const PAGE_BYTES = 4096;

/** What a TLBI has to cover. */
export interface Broken {
  readonly stage: 1 | 2;
  readonly isTable: boolean;
  /** Leaves, or all that the entry spans when there are none; null: place unknown. */
  readonly spans: readonly Span[] | null;
  /** Tags that translations of it may have; empty: unknown. */
  readonly vmids: ReadonlySet<number>;
}

export class FlushProgress {
  stage: Stage = Stage.Nothing;
  #left: readonly Span[] | null = null;

  issued(operation: TlbiOperation, broken: Broken): void {
    if (this.stage === Stage.Clean) return;
    if (broken.stage === 1) this.#issuedStage1(operation, broken);
    else this.#issuedStage2(operation, broken);
  }

  /** A DSB of this CPU: what it has issued is complete. */
  completed(broken: Broken): void {
    if (this.stage === Stage.Issued) {
      this.stage = broken.stage === 1 ? Stage.Clean : Stage.Stage2Clean;
    } else if (this.stage === Stage.CombinedIssued) {
      this.stage = Stage.Clean;
    }
  }

  #issuedStage2({ operation, context, hi, lo, pages }: TlbiOperation, broken: Broken): void {
    if (operation === Tlbi.AllE1Is) {
      this.stage = Stage.CombinedIssued;
      return;
    }
    const vmid = context >>> 16;
    if (vmid === 0 || (broken.vmids.size > 0 && !broken.vmids.has(vmid))) return;
    switch (operation) {
      case Tlbi.VmallS12E1Is:
        this.stage = Stage.CombinedIssued;
        break;
      case Tlbi.VmallE1Is:
        if (this.stage === Stage.Stage2Clean) this.stage = Stage.CombinedIssued;
        break;
      case Tlbi.IpaS2E1Is:
        this.#cover(broken, hi, lo, 1);
        break;
      case Tlbi.RipaS2E1Is:
        this.#cover(broken, hi, lo, pages);
        break;
      default:
    }
  }

  #issuedStage1({ operation, hi, lo, pages }: TlbiOperation, broken: Broken): void {
    switch (operation) {
      case Tlbi.VmallHostIs:
      case Tlbi.AsidE1Is:
        this.stage = Stage.Issued;
        break;
      case Tlbi.VaLE1Is:
        if (!broken.isTable) this.#cover(broken, hi, lo, 1);
        break;
      case Tlbi.VaE1Is:
      case Tlbi.VaaE1Is:
        this.#cover(broken, hi, lo, 1);
        break;
      case Tlbi.RvaE1Is:
        this.#cover(broken, hi, lo, pages);
        break;
      default:
    }
  }

  #cover({ spans }: Broken, hi: number, lo: number, pages: number): void {
    if (this.stage >= Stage.Stage2Clean) return;
    if (spans === null) {
      this.stage = Stage.Issued;
      return;
    }
    const first = (hi & 0xffff) * 2 ** 32 + (lo >>> 0);
    const start = first - (first % PAGE_BYTES);
    const end = start + pages * PAGE_BYTES;
    const before = this.#left ?? spans;
    const left = before.filter((span) => span.last < start || span.first >= end);
    if (left.length < before.length) this.stage = left.length === 0 ? Stage.Issued : Stage.Partly;
    this.#left = left;
  }
}
