/**
 * How workers with whole nodes keep together without meeting: conservative simulation after
 * Chandy, Misra and Bryant (1979), with reports of what is pending in place of null messages.
 *
 * A worker may run everything before (the earliest event that any other worker has before it, or
 * that a message under way will cause) + the least hop: whatever happens elsewhere needs that long
 * to get here. Messages that a report counts are taken with it, so each is here before the window
 * it belongs to, and the host has performed what its sender did before (ER-D4).
 *
 * Invariant: a pending event is vouched for by the worker that has it, a message by its sender
 * until the receiver's report acknowledges it. With reports that held at one moment, the least of
 * all is therefore a time before which nothing will happen any more.
 */

import { ReceivingEnd, SendingEnd } from './channel.ts';
import { checkAbort } from './control.ts';
import { NEVER } from './cpu-state.ts';
import { Doorbell } from './doorbell.ts';
import type { Deliver, MessageKind, Post } from './mailbox.ts';
import { Patience } from './patience.ts';
import { ReportReader, ReportWriter } from './reports.ts';
import type { EngineBuffers } from './spec.ts';

/** Another worker: the channels to and from it, and what was last read in its report. */
interface Other {
  readonly worker: number;
  readonly to: SendingEnd;
  readonly from: ReceivingEnd;
  readonly report: ReportReader;
  readonly doorbell: Doorbell;
  /** Messages to it that a report has told of. */
  announced: number;
  /** Earliest event it has before it, or has caused and vouches for (but here). */
  earliestPs: number;
  progressPs: number;
  failurePs: number;
  sent: number;
  received: number;
}

export class Exchange implements Post {
  /** Of the last news: earliest event that workers have before them, but for this one. */
  othersPs = 0;
  /** Of the last news: latest completed operation elsewhere. */
  progressPs = 0;
  /** Of the last news: first failure elsewhere. */
  failurePs = NEVER;
  /** Times this worker had to look at the others' reports. */
  looks = 0;
  readonly #worker: number;
  /** The least hop between nodes of different workers. */
  readonly #hopPs: number;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #doorbell: Doorbell;
  readonly #report: ReportWriter;
  readonly #others: readonly Other[];
  /** The others in the order in which their messages are read. */
  readonly readingOrder: Other[];
  readonly #byWorker: readonly (Other | undefined)[];
  readonly #patience: Patience;
  readonly #deliver: Deliver;
  readonly #isNews = (): boolean => this.#anyNew();
  #unpublished = true;
  #publishedEarliestPs = -1;
  #publishedFailurePs = NEVER;

  constructor(
    buffers: EngineBuffers,
    workers: number,
    worker: number,
    hopPs: number,
    cores: number,
    deliver: Deliver,
  ) {
    this.#hopPs = hopPs;
    const { reports, channels, doorbells } = buffers;
    this.#worker = worker;
    this.#control = new Int32Array(buffers.control);
    this.#doorbell = new Doorbell(doorbells, worker);
    this.#report = new ReportWriter(reports, workers, worker);
    this.#byWorker = Array.from({ length: workers }, (_, other) => {
      if (other === worker) return undefined;
      return {
        worker: other,
        to: new SendingEnd(channels[worker * workers + other]!),
        from: new ReceivingEnd(channels[other * workers + worker]!),
        report: new ReportReader(reports, workers, other),
        doorbell: new Doorbell(doorbells, other),
        announced: 0,
        earliestPs: 0,
        progressPs: 0,
        failurePs: NEVER,
        sent: 0,
        received: 0,
      };
    });
    this.#others = this.#byWorker.filter((other) => other !== undefined);
    this.readingOrder = [...this.#others];
    this.#patience = new Patience(workers, cores);
    this.#deliver = deliver;
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
    this.#unpublished = true;
    this.#byWorker[worker]!.to.send(kind, timePs, target, cpu, hi, lo, a, b, c);
  }

  /** Earliest message of this worker that another may not have taken yet. */
  unreceivedPs(): number {
    let earliest = NEVER;
    for (const { to } of this.#others) earliest = Math.min(earliest, to.unreceivedPs);
    return earliest;
  }

  /** Tells the others what this worker has before it, if they don't know. */
  publish(earliestPs: number, progressPs: number, failurePs: number): void {
    const isKnown =
      earliestPs === this.#publishedEarliestPs && failurePs === this.#publishedFailurePs;
    if (isKnown && !this.#unpublished) return;
    // A message that waits for room in its channel arrives as if it were sent a hop before.
    let vouchedPs = earliestPs;
    for (const { to } of this.#others) {
      vouchedPs = Math.min(vouchedPs, to.backlogPs - this.#hopPs);
    }
    const report = this.#report;
    report.begin(vouchedPs, progressPs, failurePs);
    for (const { worker, to, from } of this.#others) {
      report.setTraffic(worker, to.unreceivedPs, to.sent, from.received);
    }
    report.publish();
    this.#unpublished = false;
    this.#publishedEarliestPs = earliestPs;
    this.#publishedFailurePs = failurePs;
    for (const other of this.#others) {
      const hasSent = other.to.sent !== other.announced;
      other.announced = other.to.sent;
      if (!other.doorbell.isAsleep) continue;
      other.doorbell.ring(hasSent ? NEVER : Math.min(vouchedPs, this.#unreceivedBut(other)));
    }
  }

  /** Earliest message that workers other than one may not have taken yet. */
  #unreceivedBut(one: Other): number {
    let earliest = NEVER;
    for (const other of this.#others) {
      if (other !== one) earliest = Math.min(earliest, other.to.unreceivedPs);
    }
    return earliest;
  }

  /**
   * Takes what others have reported, and their messages. False: nothing is new. (True without news
   * if others reported meanwhile: reports of different moments say nothing together.)
   */
  look(): boolean {
    this.looks++;
    if (!this.#read()) return false;
    for (const { report } of this.#others) {
      if (!report.isLatest) return true;
    }
    this.#take();
    return true;
  }

  /** Copies the latest reports. True if one of them is new. */
  #read(): boolean {
    let isNew = false;
    for (const other of this.#others) {
      const { report } = other;
      if (report.look()) isNew = true;
      other.earliestPs = report.earliestPs;
      other.progressPs = report.progressPs;
      other.failurePs = report.failurePs;
      other.sent = report.sent(this.#worker);
      other.received = report.received(this.#worker);
      for (const { worker } of this.#others) {
        if (worker === other.worker) continue;
        other.earliestPs = Math.min(other.earliestPs, report.unreceivedPs(worker));
      }
    }
    return isNew;
  }

  #take(): void {
    this.othersPs = NEVER;
    for (const other of this.readingOrder) {
      other.report.take();
      this.othersPs = Math.min(this.othersPs, other.earliestPs);
      this.progressPs = Math.max(this.progressPs, other.progressPs);
      this.failurePs = Math.min(this.failurePs, other.failurePs);
      if (other.from.receive(other.sent, this.#deliver)) this.#unpublished = true;
      const { to } = other;
      const before = to.unreceivedPs;
      const hasMoved = to.acknowledge(other.received);
      // Third workers rely on what this one vouches for.
      const concernsThird = this.#others.length > 1 && to.unreceivedPs !== before;
      if (hasMoved || concernsThird) this.#unpublished = true;
    }
  }

  /**
   * Returns when there may be news, after a while in any case. `needPs`: what the others must have
   * come to, unless they send something. Throws if the run is to end.
   */
  wait(needPs: number): void {
    if (this.#patience.spin(this.#isNews)) return;
    checkAbort(this.#control);
    this.#doorbell.sleep(needPs, this.#isNews);
  }

  #anyNew(): boolean {
    for (const { report } of this.#others) {
      if (report.isOutdated) return true;
    }
    return false;
  }
}
