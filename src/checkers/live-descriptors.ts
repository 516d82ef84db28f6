/**
 * Live descriptors that were changed from valid to valid without break-before-make (I1), whether
 * or not a TLB held the old one: descriptor-watch.ts saw the store, here is known whether its
 * page was a table at the time. A page is one unless it was freed, or handed out as a frame and
 * not yet as a table; what boot code laid out never is.
 *
 * On a machine with FEAT_BBM a change of size alone is legal.
 */

import { EventKind } from '../cpu/operations.ts';
import { frameLo, frameOrder, LogKind } from './cpu-watch.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

const PAGE_BYTES = 4096;

export class LiveDescriptors implements Oracle {
  readonly rule = Rule.BreakBeforeMake;
  readonly findings = new Findings();
  readonly #sizesMayDiffer: boolean;
  /** By page number: false = handed out as a frame, or freed. */
  readonly #isTable = new Map<number, boolean>();
  /** Larger blocks of frames, by number of the first page: log2 of the pages. */
  readonly #blocks = new Map<number, number>();
  #orderMax = 0;

  constructor(input: ReplayInput) {
    this.#sizesMayDiffer = input.bbm !== '0';
  }

  event(o: Occurrence): void {
    const kind: number = o.kind;
    switch (kind) {
      case EventKind.TablePageAllocated:
        this.#isTable.set(pageOf(o), true);
        break;
      case EventKind.TablePageFreed:
        this.#isTable.set(pageOf(o), false);
        break;
      case EventKind.FrameAllocated:
        this.#frameAllocated(o);
        break;
      case LogKind.DescriptorSize:
        if (!this.#sizesMayDiffer) this.#check(o, 'another size');
        break;
      case LogKind.DescriptorOutput:
        this.#check(o, 'another output');
        break;
      default:
    }
  }

  #frameAllocated(o: Occurrence): void {
    const order = frameOrder(o.lo);
    const page = pageOf(o);
    if (order === 0) {
      this.#isTable.set(page, false);
    } else {
      this.#blocks.set(page, order);
      this.#orderMax = Math.max(this.#orderMax, order);
    }
  }

  #check(o: Occurrence, what: string): void {
    const page = pageOf(o);
    if (!(this.#isTable.get(page) ?? !this.#isInBlock(page))) return;
    this.findings.add({
      rule: this.rule,
      timePs: o.timePs,
      cpus: [o.cpu],
      text: `changes a valid descriptor to one of ${what} without breaking it first`,
      space: Space.Physical,
      hi: o.hi,
      lo: o.lo,
    });
  }

  #isInBlock(page: number): boolean {
    for (let order = 1; order <= this.#orderMax; order++) {
      const first = page - (page % 2 ** order);
      if ((this.#blocks.get(first) ?? 0) >= order) return true;
    }
    return false;
  }

  finish(): void {}

  summary(): string {
    return '';
  }
}

function pageOf(o: Occurrence): number {
  return addressKey(o.hi, frameLo(o.lo)) / PAGE_BYTES;
}
