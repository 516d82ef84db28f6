/**
 * Conservation of frames (ER-S7): no frame is handed out while somebody holds it or part of it,
 * none is given back twice, and blocks come back as they went out. What is in use at the end is
 * what was handed out and not given back.
 *
 * Frames that boot code handed out before time 0 are not known: the first event of such a frame may
 * be that it is freed.
 */

import { EventKind } from '../cpu/operations.ts';
import { frameLo, frameOrder } from './cpu-watch.ts';
import type { Occurrence, Oracle } from './oracle.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

const PAGE_SHIFT = 12;

const State = { Allocated: 0, Freed: 1 } as const;
type State = (typeof State)[keyof typeof State];

interface Frame {
  state: State;
  order: number;
  cpu: number;
}

export class FrameConservation implements Oracle {
  readonly rule = Rule.Frames;
  readonly findings = new Findings();
  /** By number of the first page. */
  readonly #frames = new Map<number, Frame>();
  /** Largest order of any block so far. */
  #orderMax = 0;
  #allocated = 0;
  #freed = 0;
  #inUse = 0;

  event(o: Occurrence): void {
    if (o.kind === EventKind.FrameAllocated) this.#allocate(o);
    else if (o.kind === EventKind.FrameFreed) this.#free(o);
  }

  #allocate(o: Occurrence): void {
    const order = frameOrder(o.lo);
    const page = pageOf(o);
    this.#allocated++;
    const holder = this.#holderOf(page, order);
    if (holder >= 0) this.#violated(o, [holder], 'is handed a frame that is in use');
    this.#orderMax = Math.max(this.#orderMax, order);
    this.#inUse += 2 ** order;
    this.#frames.set(page, { state: State.Allocated, order, cpu: o.cpu });
  }

  #free(o: Occurrence): void {
    const order = frameOrder(o.lo);
    const page = pageOf(o);
    this.#freed++;
    const frame = this.#frames.get(page);
    if (frame === undefined) {
      this.#inUse -= 2 ** order;
      this.#frames.set(page, { state: State.Freed, order, cpu: o.cpu });
      return;
    }
    if (frame.state === State.Freed) {
      this.#violated(o, [frame.cpu], 'frees a frame that is free already');
      return;
    }
    if (frame.order !== order) {
      const text = `frees 2^${order} pages of a block of 2^${frame.order}`;
      this.#violated(o, [frame.cpu], text);
    }
    this.#inUse -= 2 ** frame.order;
    frame.state = State.Freed;
    frame.order = order;
    frame.cpu = o.cpu;
  }

  /** CPU that was handed a block which shares a page with this one; -1 = none. */
  #holderOf(page: number, order: number): number {
    const frame = this.#frames.get(page);
    if (frame !== undefined && frame.state === State.Allocated) return frame.cpu;
    for (let larger = order + 1; larger <= this.#orderMax; larger++) {
      const around = this.#frames.get(alignDown(page, larger));
      if (around === undefined || around.state !== State.Allocated) continue;
      if (around.order >= larger) return around.cpu;
    }
    for (let inner = page + 1; inner < page + 2 ** order; inner++) {
      const part = this.#frames.get(inner);
      if (part !== undefined && part.state === State.Allocated) return part.cpu;
    }
    return -1;
  }

  finish(): void {}

  summary(): string {
    return (
      `${this.#allocated} frames handed out, ${this.#freed} given back, none twice; ` +
      `${this.#inUse} pages more are in use than at the start`
    );
  }

  #violated(o: Occurrence, others: readonly number[], text: string): void {
    this.findings.add({
      rule: this.rule,
      timePs: o.timePs,
      cpus: [o.cpu, ...others],
      text,
      space: Space.Physical,
      hi: o.hi,
      lo: frameLo(o.lo),
    });
  }
}

function pageOf(o: Occurrence): number {
  return addressKey(o.hi, frameLo(o.lo)) / 2 ** PAGE_SHIFT;
}

function alignDown(page: number, order: number): number {
  return page - (page % 2 ** order);
}
