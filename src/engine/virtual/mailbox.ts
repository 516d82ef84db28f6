/**
 * Messages between workers, and the outboxes of workers that share a node: one per worker and
 * meeting parity, read by all others. A message carries its own emulated time, so the order in
 * which messages are read does not matter. Bounded: beyond the bound is a bug, never a silent drop
 * (ER-B6). Workers with whole nodes use channels instead (channel.ts).
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
  DomainRequest: 10,
  DomainFill: 11,
  DomainSnoop: 12,
  DomainLeave: 13,
} as const;
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

/** time, kind + 16 cpu, target (node or CPU), hi, lo, a, b, c (c may be a time): 64 bytes */
export const MESSAGE_DOUBLES = 8;

/** Where roads put messages to other workers. */
export interface Post {
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
  ): void;
}

export type Deliver = (words: Float64Array, at: number) => void;

export function putMessage(
  words: Float64Array,
  at: number,
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
  words[at] = timePs;
  words[at + 1] = kind + 16 * cpu;
  words[at + 2] = target;
  words[at + 3] = hi;
  words[at + 4] = lo;
  words[at + 5] = a;
  words[at + 6] = b;
  words[at + 7] = c;
}

/** In an outbox the receiving worker comes behind the message. */
const ENTRY_DOUBLES = MESSAGE_DOUBLES + 1;

/** What an overflow may grow to: 1.8 million messages. */
export const OVERFLOW_BYTES_MAX = 2 ** 27;

/**
 * Room for what is usually under way between two meetings: grants and losses per CPU, few windows.
 * A whole page taken from CPUs that have its lines loses one line each: that goes to the overflow.
 */
export function outboxCapacity(cpuCount: number): number {
  return Math.max(4096, 64 * cpuCount);
}

/** Both parities, each with the count of its messages in front. */
export function outboxBytes(cpuCount: number): number {
  return 2 * (1 + outboxCapacity(cpuCount) * ENTRY_DOUBLES) * 8;
}

export class Outbox implements Post {
  readonly #words: Float64Array<SharedArrayBuffer>;
  /** By parity; they grow when needed, and their views with them. */
  readonly #overflows: readonly Float64Array<SharedArrayBuffer>[];
  readonly #capacity: number;
  #parity = 0;
  #base = 0;
  #count = 0;
  /** Earliest time among the messages of this meeting. */
  earliestPs = Number.POSITIVE_INFINITY;

  constructor(
    buffer: SharedArrayBuffer,
    overflows: readonly SharedArrayBuffer[],
    cpuCount: number,
  ) {
    this.#words = new Float64Array(buffer);
    this.#overflows = overflows.map((overflow) => new Float64Array(overflow));
    this.#capacity = outboxCapacity(cpuCount);
  }

  /** Starts filling the buffer of a parity. */
  open(parity: number): void {
    this.#parity = parity;
    this.#base = parity * (1 + this.#capacity * ENTRY_DOUBLES);
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
    let words = this.#words;
    let at = this.#base + 1 + this.#count * ENTRY_DOUBLES;
    if (this.#count >= this.#capacity) {
      at = (this.#count - this.#capacity) * ENTRY_DOUBLES;
      words = this.#overflowFor(at + ENTRY_DOUBLES);
    }
    this.#count++;
    putMessage(words, at, kind, timePs, target, cpu, hi, lo, a, b, c);
    words[at + MESSAGE_DOUBLES] = worker;
    if (timePs < this.earliestPs) this.earliestPs = timePs;
  }

  #overflowFor(doubles: number): Float64Array<SharedArrayBuffer> {
    const words = this.#overflows[this.#parity]!;
    if (words.length >= doubles) return words;
    const bytes = Math.min(Math.max(2 * words.byteLength, 65536), OVERFLOW_BYTES_MAX);
    assert(8 * doubles <= bytes, `more than ${OVERFLOW_BYTES_MAX} bytes of messages at a meeting`);
    words.buffer.grow(bytes);
    return words;
  }

  /** Makes the count visible; the barrier publishes it. */
  close(): void {
    this.#words[this.#base] = this.#count;
  }
}

/** Calls `deliver(words, at)` for every message to `worker` in the outbox of a parity. */
export function readOutbox(
  words: Float64Array,
  overflow: Float64Array,
  parity: number,
  cpuCount: number,
  worker: number,
  deliver: Deliver,
): void {
  const capacity = outboxCapacity(cpuCount);
  const base = parity * (1 + capacity * ENTRY_DOUBLES);
  const count = words[base]!;
  const inside = Math.min(count, capacity);
  for (let i = 0; i < inside; i++) {
    const at = base + 1 + i * ENTRY_DOUBLES;
    if (words[at + MESSAGE_DOUBLES] === worker) deliver(words, at);
  }
  for (let at = 0; at < (count - inside) * ENTRY_DOUBLES; at += ENTRY_DOUBLES) {
    if (overflow[at + MESSAGE_DOUBLES] === worker) deliver(overflow, at);
  }
}
