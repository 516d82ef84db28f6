/**
 * A channel carries the messages of one worker to one other: a ring with one writer and one reader
 * in shared memory. Counts of messages sent and received travel in the workers' reports
 * (reports.ts), which also order the memory accesses: a message is written before the report that
 * counts it, and overwritten only after a report that acknowledges it.
 *
 * Invariant: a message lies in the ring, or in the sender's backlog when the ring is full. To third
 * workers the sender vouches for its time until it is acknowledged (`unreceivedPs`), to the
 * receiver until it is in the ring (`backlogPs`). So nothing waits for room, and nothing is ever
 * dropped (ER-B6).
 */

import { assert } from '../../base/assert.ts';
import { NEVER } from './cpu-state.ts';
import { type Deliver, MESSAGE_DOUBLES, type MessageKind, putMessage } from './mailbox.ts';

/** A power of two. */
export const CHANNEL_MESSAGES = 512;
export const CHANNEL_BYTES = CHANNEL_MESSAGES * MESSAGE_DOUBLES * 8;

export class SendingEnd {
  /** Messages in the ring so far. */
  sent = 0;
  /** Earliest time of the messages in the backlog. */
  backlogPs = NEVER;
  readonly #ring: Float64Array;
  #acknowledged = 0;
  /** Messages for which the ring had no room, in order. */
  #backlog = new Float64Array(0);
  #backlogFirst = 0;
  #backlogCount = 0;
  /** Earliest time of the messages up to number `#olderEnd`, and of those after it. */
  #olderPs = NEVER;
  #olderEnd = 0;
  #newerPs = NEVER;

  constructor(ring: SharedArrayBuffer) {
    this.#ring = new Float64Array(ring);
  }

  /**
   * No message that the receiver has not acknowledged is earlier. May be too early by those
   * acknowledged since, never too late.
   */
  get unreceivedPs(): number {
    return this.#olderPs < this.#newerPs ? this.#olderPs : this.#newerPs;
  }

  send(
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
    if (timePs < this.#newerPs) this.#newerPs = timePs;
    if (this.#backlogCount > 0 || this.sent - this.#acknowledged === CHANNEL_MESSAGES) {
      const at = this.#placeInBacklog();
      this.backlogPs = Math.min(this.backlogPs, timePs);
      putMessage(this.#backlog, at, kind, timePs, target, cpu, hi, lo, a, b, c);
      return;
    }
    const at = (this.sent & (CHANNEL_MESSAGES - 1)) * MESSAGE_DOUBLES;
    putMessage(this.#ring, at, kind, timePs, target, cpu, hi, lo, a, b, c);
    this.sent++;
  }

  #placeInBacklog(): number {
    const at = (this.#backlogFirst + this.#backlogCount) * MESSAGE_DOUBLES;
    if (at === this.#backlog.length) {
      const grown = new Float64Array(Math.max(2 * at, 64 * MESSAGE_DOUBLES));
      grown.set(this.#backlog);
      this.#backlog = grown;
    }
    this.#backlogCount++;
    return at;
  }

  /** The receiver has taken so many messages. True if this made room for waiting ones. */
  acknowledge(count: number): boolean {
    assert(count >= this.#acknowledged && count <= this.sent, 'acknowledged what was not sent');
    this.#acknowledged = count;
    if (count >= this.#olderEnd) {
      this.#olderPs = this.#newerPs;
      this.#olderEnd = this.sent + this.#backlogCount;
      this.#newerPs = NEVER;
      if (count === this.#olderEnd) this.#olderPs = NEVER;
    }
    return this.#backlogCount > 0 && this.#moveBacklog();
  }

  #moveBacklog(): boolean {
    const before = this.sent;
    while (this.#backlogCount > 0 && this.sent - this.#acknowledged < CHANNEL_MESSAGES) {
      const from = this.#backlogFirst * MESSAGE_DOUBLES;
      const message = this.#backlog.subarray(from, from + MESSAGE_DOUBLES);
      this.#ring.set(message, (this.sent & (CHANNEL_MESSAGES - 1)) * MESSAGE_DOUBLES);
      this.sent++;
      this.#backlogFirst++;
      this.#backlogCount--;
    }
    this.backlogPs = NEVER;
    for (let i = 0; i < this.#backlogCount; i++) {
      const timePs = this.#backlog[(this.#backlogFirst + i) * MESSAGE_DOUBLES]!;
      this.backlogPs = Math.min(this.backlogPs, timePs);
    }
    if (this.#backlogCount === 0) this.#backlogFirst = 0;
    return this.sent > before;
  }
}

export class ReceivingEnd {
  received = 0;
  readonly #ring: Float64Array;

  constructor(ring: SharedArrayBuffer) {
    this.#ring = new Float64Array(ring);
  }

  /** Delivers all messages up to number `sent`. True if there were any. */
  receive(sent: number, deliver: Deliver): boolean {
    if (sent === this.received) return false;
    assert(sent - this.received <= CHANNEL_MESSAGES, 'messages were overwritten');
    for (; this.received < sent; this.received++) {
      deliver(this.#ring, (this.received & (CHANNEL_MESSAGES - 1)) * MESSAGE_DOUBLES);
    }
    return true;
  }
}
