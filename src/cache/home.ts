/**
 * The home agent of a node: every transfer of a line between CPUs passes through it, as requests
 * that it serves in order of emulated time, one FIFO per line. What a service does is in
 * line-service.ts; this file decides when a request is served.
 *
 * - One ownership change of a line at a time: an exclusive request waits until every grant before
 *   it is acknowledged; shared ones are pipelined and wait only until the data is here (ER-D1,
 *   D2).
 * - Strict FIFO per line: a read behind a waiting write waits (ER-D3).
 * - A write-back counts only from the owner on record (ER-D8).
 */

import { hash32, seedHalves } from '../base/random.ts';
import type { Machine } from '../machine/machine.ts';
import { lineOf } from '../memory/physical-address.ts';
import type { DomainPort } from './domain-sharers.ts';
import { EventQueue } from './event-queue.ts';
import { type HomePort, LineService } from './line-service.ts';
import { RequestKind } from './line-state.ts';

/** Kinds of message in a home's queue, also the rank of messages of one time. */
const Message = { WriteBack: 0, Leave: 1, Line: 2, Request: 3 } as const;

export class Home {
  readonly node: number;
  readonly queue: EventQueue;
  readonly lines: LineService;
  readonly #seedLow: number;
  readonly #seedHigh: number;
  /** Time of the message being served: a field, because V8 boxes doubles that are passed on. */
  #now = 0;

  constructor(
    node: number,
    machine: Machine,
    seed: number,
    port: HomePort,
    queue = new EventQueue(),
    domains: DomainPort | null = null,
  ) {
    this.node = node;
    this.queue = queue;
    queue.breakTiesBy((message) => this.#tieHash(message));
    [this.#seedLow, this.#seedHigh] = seedHalves(seed);
    this.lines = new LineService(node, machine, seed, port, domains);
  }

  /**
   * A request arrives. `hadCopy`: the CPU held a shared copy when it asked. `bytes`: pages only.
   */
  request(
    cpu: number,
    timePs: number,
    paHi: number,
    paLo: number,
    kind: RequestKind,
    hadCopy: boolean,
    bytes: number,
  ): void {
    const { queue } = this;
    const message = queue.allocate();
    queue.kind[message] = Message.Request;
    queue.cpu[message] = cpu;
    queue.hi[message] = paHi;
    queue.lo[message] = paLo;
    queue.a[message] = kind;
    queue.b[message] = hadCopy ? 1 : 0;
    queue.c[message] = bytes;
    queue.rank[message] = Message.Request;
    queue.time[message] = timePs;
    queue.hashed[message] = 0;
    queue.push(message);
  }

  /** A victim arrives. */
  writeBack(cpu: number, timePs: number, paHi: number, paLo: number, dirty: boolean): void {
    const { queue } = this;
    const message = queue.allocate();
    queue.kind[message] = Message.WriteBack;
    queue.cpu[message] = cpu;
    queue.hi[message] = paHi;
    queue.lo[message] = paLo;
    queue.a[message] = dirty ? 1 : 0;
    queue.rank[message] = Message.WriteBack;
    queue.time[message] = timePs;
    queue.hashed[message] = 0;
    queue.push(message);
  }

  /** A line has left a domain's last-level cache. */
  domainLeaves(domain: number, timePs: number, paHi: number, paLo: number): void {
    const { queue } = this;
    const message = queue.allocate();
    queue.kind[message] = Message.Leave;
    queue.cpu[message] = domain;
    queue.hi[message] = paHi;
    queue.lo[message] = paLo;
    queue.rank[message] = Message.Leave;
    queue.time[message] = timePs;
    queue.hashed[message] = 0;
    queue.push(message);
  }

  /** Treats CPUs alike, and differently at each time (ER-F1). */
  #tieHash(message: number): number {
    const { queue } = this;
    const line = lineOf(queue.hi[message]!, queue.lo[message]!);
    const time = (queue.time[message]! | 0) ^ this.#seedHigh;
    return hash32(this.#seedLow ^ this.node, line, queue.cpu[message]!, time);
  }

  /** Serves everything that is due before `untilPs`. */
  serve(untilPs: number): void {
    const { queue } = this;
    while (queue.earliest() < untilPs) {
      const message = queue.pop();
      this.#now = queue.time[message]!;
      switch (queue.kind[message]) {
        case Message.WriteBack:
          this.#takeWriteBack(message);
          queue.release(message);
          break;
        case Message.Leave:
          this.#takeLeave(message);
          queue.release(message);
          break;
        case Message.Line:
          this.#lineIsFree(queue.a[message]!);
          queue.release(message);
          break;
        default:
          if (queue.earliest() === this.#now) queue.ties++;
          if (queue.a[message] === RequestKind.Page) this.#servePage(message);
          else this.#arrive(message);
      }
    }
  }

  #arrive(message: number): void {
    const { queue } = this;
    const { directory } = this.lines;
    const line = lineOf(queue.hi[message]!, queue.lo[message]!);
    let record = directory.find(line);
    if (record < 0) record = directory.create(line);
    const tail = directory.fifoTail(record);
    if (tail < 0 && this.#isReady(record, message)) {
      this.#serveRequest(record, message);
      return;
    }
    queue.next[message] = -1;
    if (tail < 0) {
      directory.setFifo(record, message, message);
      this.#wakeLine(line, this.#readyAt(record, message));
    } else {
      queue.next[tail] = message;
      directory.setFifo(record, directory.fifoHead(record), message);
    }
  }

  /** The head of a line's FIFO may be servable: serves all heads that are ready now. */
  #lineIsFree(line: number): void {
    const { queue } = this;
    const { directory } = this.lines;
    const record = directory.find(line);
    if (record < 0) return;
    for (;;) {
      const head = directory.fifoHead(record);
      if (head < 0) {
        this.#dropIfSilent(record);
        return;
      }
      if (!this.#isReady(record, head)) {
        this.#wakeLine(line, this.#readyAt(record, head));
        return;
      }
      const rest = queue.next[head]!;
      directory.setFifo(record, rest, rest < 0 ? -1 : directory.fifoTail(record));
      this.#serveRequest(record, head);
    }
  }

  #serveRequest(record: number, message: number): void {
    const { queue } = this;
    const { directory } = this.lines;
    const hi = queue.hi[message]!;
    const lo = queue.lo[message]!;
    const kind = queue.a[message]! as RequestKind;
    const hadCopy = queue.b[message] === 1;
    this.lines.serve(record, queue.cpu[message]!, hi, lo, kind, hadCopy, this.#now);
    queue.release(message);
    if (kind !== RequestKind.Flush || directory.fifoHead(record) >= 0) return;
    // The record must outlive the losses under way; then it says nothing and goes.
    this.#wakeLine(directory.lineOf(record), directory.freeExclusive(record));
  }

  #servePage(message: number): void {
    const { queue } = this;
    const { directory } = this.lines;
    const hi = queue.hi[message]!;
    const lo = queue.lo[message]!;
    const bytes = queue.c[message]!;
    const free = this.lines.servePage(queue.cpu[message]!, hi, lo, bytes, this.#now);
    queue.release(message);
    for (let i = 0; i < this.lines.pageRecordCount; i++) {
      const record = this.lines.pageRecords[i]!;
      if (directory.fifoHead(record) < 0) this.#wakeLine(directory.lineOf(record), free);
    }
  }

  /** Looks at the line again at `timePs`. */
  #wakeLine(line: number, timePs: number): void {
    const { queue } = this;
    const message = queue.allocate();
    queue.kind[message] = Message.Line;
    queue.rank[message] = Message.Line;
    queue.cpu[message] = 0;
    queue.lo[message] = line;
    queue.a[message] = line;
    queue.time[message] = timePs;
    queue.hash[message] = 0;
    queue.hashed[message] = 1;
    queue.push(message);
  }

  #isReady(record: number, message: number): boolean {
    return this.#readyAt(record, message) <= this.#now;
  }

  #readyAt(record: number, message: number): number {
    const kind = this.queue.a[message];
    const { directory } = this.lines;
    return kind === RequestKind.Read || kind === RequestKind.Fetch
      ? directory.freeShared(record)
      : directory.freeExclusive(record);
  }

  #takeWriteBack(message: number): void {
    const { queue } = this;
    const { directory } = this.lines;
    const line = lineOf(queue.hi[message]!, queue.lo[message]!);
    const record = directory.find(line);
    if (record < 0 || directory.owner(record) !== queue.cpu[message]) return;
    directory.setOwner(record, -1);
    const { domains } = this.lines;
    const hi = queue.hi[message]!;
    domains?.keep(record, queue.cpu[message]!, hi, queue.lo[message]!, this.#now);
    // A clean victim is an address without data.
    if (queue.a[message] === 1) this.lines.fillLlc(line, true, this.#now);
    this.#dropIfSilent(record);
  }

  /**
   * The domain is no sharer any more, unless a line for it may have been under way when it said so:
   * those are there before the line is free.
   */
  #takeLeave(message: number): void {
    const { queue } = this;
    const { directory } = this.lines;
    const record = directory.find(lineOf(queue.hi[message]!, queue.lo[message]!));
    if (record < 0 || directory.freeExclusive(record) >= this.#now) return;
    this.lines.domains!.forget(record, queue.cpu[message]!);
    this.#dropIfSilent(record);
  }

  /** A record that says nothing goes (ER-D11). */
  #dropIfSilent(record: number): void {
    const { directory } = this.lines;
    if (directory.owner(record) >= 0 || directory.fifoHead(record) >= 0) return;
    if (directory.hasSharers(record) || directory.freeExclusive(record) > this.#now) return;
    directory.drop(record);
  }
}
