/**
 * Messages between workers. Each worker has one outbox per meeting parity; a message names the
 * worker it is for and carries its own emulated time, so the order in which messages are read does
 * not matter. Bounded: overflow is a bug, never a silent drop (ER-B6).
 */

import { assert } from '../../base/assert.ts';

export const MessageKind = {
  Request: 0,
  WriteBack: 1,
  Grant: 2,
  Loss: 3,
  DvmIssue: 4,
  DvmForward: 5,
  DvmApply: 6,
  DvmAck: 7,
  Interrupt: 8,
  Wake: 9,
} as const;
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

/** worker, kind, time, target (node or CPU), cpu, hi, lo, a, b, c (c may be a time) */
export const MESSAGE_DOUBLES = 10;

/**
 * Bounded by what can be under way between two meetings: grants and losses per CPU, few windows.
 */
export function outboxCapacity(cpuCount: number): number {
  return Math.max(4096, 64 * cpuCount);
}

export class Outbox {
  readonly #words: Float64Array<SharedArrayBuffer>;
  readonly #capacity: number;
  #base = 0;
  #count = 0;
  /** Earliest time among the messages of this meeting. */
  earliestPs = Number.POSITIVE_INFINITY;

  constructor(buffer: SharedArrayBuffer, cpuCount: number) {
    this.#words = new Float64Array(buffer);
    this.#capacity = outboxCapacity(cpuCount);
  }

  /** Starts filling the buffer of a parity. */
  open(parity: number): void {
    this.#base = parity * (1 + this.#capacity * MESSAGE_DOUBLES);
    this.#count = 0;
    this.earliestPs = Number.POSITIVE_INFINITY;
  }

  send(
    worker: number,
    kind: MessageKind,
    timePs: number,
    target: number,
    cpu: number,
    hi: number,
    lo: number,
    a: number,
    b: number,
    c: number,
  ): void {
    assert(this.#count < this.#capacity, `outbox of ${this.#capacity} messages is full`);
    const words = this.#words;
    const at = this.#base + 1 + this.#count++ * MESSAGE_DOUBLES;
    words[at] = worker;
    words[at + 1] = kind;
    words[at + 2] = timePs;
    words[at + 3] = target;
    words[at + 4] = cpu;
    words[at + 5] = hi;
    words[at + 6] = lo;
    words[at + 7] = a;
    words[at + 8] = b;
    words[at + 9] = c;
    if (timePs < this.earliestPs) this.earliestPs = timePs;
  }

  /** Makes the count visible; the barrier publishes it. */
  close(): void {
    this.#words[this.#base] = this.#count;
  }
}

/** Calls `deliver(words, at)` for every message to `worker` in the outbox of a parity. */
export function readOutbox(
  words: Float64Array,
  parity: number,
  cpuCount: number,
  worker: number,
  deliver: (words: Float64Array, at: number) => void,
): void {
  const base = parity * (1 + outboxCapacity(cpuCount) * MESSAGE_DOUBLES);
  const count = words[base]!;
  for (let i = 0; i < count; i++) {
    const at = base + 1 + i * MESSAGE_DOUBLES;
    if (words[at] === worker) deliver(words, at);
  }
}
