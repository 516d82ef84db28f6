/**
 * The home agent of a node: directory, last-level cache and memory channel of the lines that the
 * node owns. Every transfer of a line between CPUs passes through it, as requests that it serves in
 * order of emulated time, one FIFO per line.
 *
 * Invariants (numbers as in the rules of engine/virtual/README.md):
 * - one ownership change of a line at a time: an exclusive grant waits until every grant before it is
 *   acknowledged; shared grants are pipelined and wait only until the data is here;
 * - a loss takes effect on a grid boundary after the service, and no grant precedes a loss of the
 *   line plus the way from the loser to the winner (asserted for every loss).
 */

import { assert } from '../base/assert.ts';
import { hash32, seedHalves } from '../base/random.ts';
import type { Machine } from '../machine/machine.ts';
import { Directory } from './directory.ts';
import { EventQueue } from './event-queue.ts';
import { LastLevelCache } from './last-level-cache.ts';
import { LineState, LossKind, RequestKind } from './line-state.ts';

/** Where an answer came from; counted by the CPU that asked. */
export const Source = { Upgrade: 0, LastLevel: 1, Memory: 2, Transfer: 3, None: 4 } as const;
export type Source = (typeof Source)[keyof typeof Source];

/** How a home reaches the CPUs. */
export interface HomePort {
  /** The CPU gets the line it asked for at `timePs`. `fromNode`: node that the data came from. */
  grant(cpu: number, timePs: number, state: number, source: Source, fromNode: number): void;
  /** The CPU loses its copy at the start of the window that begins at `effectPs`. */
  lose(
    cpu: number,
    effectPs: number,
    paHi: number,
    paLo: number,
    kind: LossKind,
    wakePs: number,
  ): void;
}

/** Kinds of message in a home's queue. */
const Message = { WriteBack: 0, Line: 1, Request: 2 } as const;

export class Home {
  readonly node: number;
  readonly directory: Directory;
  readonly llc: LastLevelCache;
  readonly queue = new EventQueue();
  /** Requests served so far. */
  transactions = 0;
  /** Cache-to-cache transfers by symbol of the line: [local, remote] pairs; see nameLines. */
  traffic = new Float64Array(0);
  readonly #machine: Machine;
  readonly #port: HomePort;
  readonly #seedLow: number;
  readonly #seedHigh: number;
  readonly #portFree: Float64Array;
  readonly #linkFree: Float64Array;
  #channelFree = 0;
  #symbolOfLine: Int16Array = new Int16Array(0);

  constructor(node: number, machine: Machine, seed: number, port: HomePort) {
    this.node = node;
    this.#machine = machine;
    this.#port = port;
    [this.#seedLow, this.#seedHigh] = seedHalves(seed);
    this.directory = new Directory(machine.cpuCount);
    this.llc = new LastLevelCache(machine.llc);
    this.#portFree = new Float64Array(machine.homeSlices);
    this.#linkFree = new Float64Array(machine.nodeCount);
  }

  /** Counts transfers of named lines: `symbolOfLine[line]` = symbol + 1, 0 = none. */
  nameLines(symbolOfLine: Int16Array, symbolCount: number): void {
    this.#symbolOfLine = symbolOfLine;
    this.traffic = new Float64Array(2 * symbolCount);
  }

  /** A request arrives. `hadCopy`: the CPU held a shared copy when it asked. `bytes`: pages only. */
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
    queue.rank[message] = Message.Request;
    queue.cpu[message] = cpu;
    queue.hi[message] = paHi;
    queue.lo[message] = paLo;
    queue.a[message] = kind;
    queue.b[message] = hadCopy ? 1 : 0;
    queue.c[message] = bytes;
    this.#enqueue(message, timePs);
  }

  /** A victim arrives. */
  writeBack(cpu: number, timePs: number, paHi: number, paLo: number, dirty: boolean): void {
    const { queue } = this;
    const message = queue.allocate();
    queue.kind[message] = Message.WriteBack;
    queue.rank[message] = Message.WriteBack;
    queue.cpu[message] = cpu;
    queue.hi[message] = paHi;
    queue.lo[message] = paLo;
    queue.a[message] = dirty ? 1 : 0;
    this.#enqueue(message, timePs);
  }

  /** Serves everything that is due before `untilPs`. */
  serve(untilPs: number): void {
    const { queue } = this;
    while (queue.earliest() < untilPs) {
      const message = queue.pop();
      const now = queue.time[message]!;
      switch (queue.kind[message]) {
        case Message.WriteBack:
          this.#takeWriteBack(message, now);
          queue.release(message);
          break;
        case Message.Line:
          this.#lineIsFree(queue.a[message]!, now);
          queue.release(message);
          break;
        default:
          if (queue.earliest() === now) queue.ties++;
          this.#arrive(message, now);
      }
    }
  }

  #enqueue(message: number, timePs: number): void {
    const { queue } = this;
    queue.time[message] = timePs;
    const time = timePs | 0;
    const line = lineKey(queue.hi[message]!, queue.lo[message]!);
    queue.hash[message] = hash32(
      this.#seedLow ^ this.node,
      line,
      queue.cpu[message]!,
      time ^ this.#seedHigh,
    );
    queue.push(message);
  }

  #arrive(message: number, now: number): void {
    const { queue, directory } = this;
    if (queue.a[message] === RequestKind.Page) {
      this.#servePage(message, now);
      queue.release(message);
      return;
    }
    const line = lineKey(queue.hi[message]!, queue.lo[message]!);
    let record = directory.find(line);
    if (record < 0) record = directory.create(line);
    const tail = directory.fifoTail(record);
    if (tail < 0 && this.#readyAt(record, message) <= now) {
      this.#serve(record, message, now);
      queue.release(message);
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
  #lineIsFree(line: number, now: number): void {
    const { queue, directory } = this;
    const record = directory.find(line);
    if (record < 0) return;
    for (;;) {
      const head = directory.fifoHead(record);
      if (head < 0) {
        this.#dropIfSilent(record, now);
        return;
      }
      const ready = this.#readyAt(record, head);
      if (ready > now) {
        this.#wakeLine(line, ready);
        return;
      }
      const rest = queue.next[head]!;
      directory.setFifo(record, rest, rest < 0 ? -1 : directory.fifoTail(record));
      this.#serve(record, head, now);
      queue.release(head);
    }
  }

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
    queue.push(message);
  }

  #readyAt(record: number, message: number): number {
    const kind = this.queue.a[message];
    return kind === RequestKind.Read || kind === RequestKind.Fetch
      ? this.directory.freeShared(record)
      : this.directory.freeExclusive(record);
  }

  /** Service start: the port of the line's slice is taken for the request and its snoops. */
  #takePort(line: number, now: number): number {
    const slice = line & (this.#machine.homeSlices - 1);
    const start = Math.max(now, this.#portFree[slice]!);
    this.#portFree[slice] = start + this.#machine.homeServicePs;
    return start;
  }

  #serve(record: number, message: number, now: number): void {
    this.transactions++;
    const { queue, directory } = this;
    const cpu = queue.cpu[message]!;
    const kind = queue.a[message]!;
    const start = this.#takePort(directory.lineOf(record), now);
    const owner = directory.owner(record);
    assert(owner !== cpu || kind === RequestKind.Flush, 'the owner of a line asks for it again');
    if (kind === RequestKind.Read || kind === RequestKind.Fetch) {
      if (owner >= 0) this.#readFromOwner(record, message, start, owner);
      else this.#readFromHome(record, message, start, kind === RequestKind.Fetch);
    } else if (kind === RequestKind.Flush) {
      this.#flush(record, message, start);
    } else if (owner >= 0) {
      this.#takeFromOwner(record, message, start, owner);
    } else {
      this.#takeFromSharers(record, message, start);
    }
  }

  #readFromOwner(record: number, message: number, start: number, owner: number): void {
    const { directory, queue } = this;
    const m = this.#machine;
    const cpu = queue.cpu[message]!;
    const grant = this.#transfer(record, message, start, owner, LossKind.Downgrade);
    const ownerHop = this.#hop(m.nodeOfCpu[owner]!);
    const dataHere = start + this.#transferPs(owner, cpu) + 2 * ownerHop;
    directory.setOwner(record, -1);
    directory.addSharer(record, owner);
    directory.addSharer(record, cpu);
    directory.setFree(record, dataHere, Math.max(grant + this.#hop(m.nodeOfCpu[cpu]!), dataHere));
    this.#fillLlc(directory.lineOf(record), true, start);
    this.#grant(cpu, grant, LineState.Shared, Source.Transfer, m.nodeOfCpu[owner]!);
  }

  #readFromHome(record: number, message: number, start: number, fetch: boolean): void {
    const { directory, queue } = this;
    const cpu = queue.cpu[message]!;
    const back = this.#hop(this.#machine.nodeOfCpu[cpu]!);
    const line = directory.lineOf(record);
    const inLlc = this.llc.has(line);
    const grant = this.#data(line, cpu, start, inLlc) + back;
    const source = inLlc ? Source.LastLevel : Source.Memory;
    if (directory.hasSharers(record) || fetch) {
      directory.addSharer(record, cpu);
      const free = Math.max(directory.freeExclusive(record), grant + back);
      directory.setFree(record, directory.freeShared(record), free);
      this.#grant(cpu, grant, LineState.Shared, source, this.node);
    } else {
      directory.setOwner(record, cpu);
      directory.setFree(record, grant + back, grant + back);
      this.#grant(cpu, grant, LineState.Exclusive, source, this.node);
    }
  }

  #takeFromOwner(record: number, message: number, start: number, owner: number): void {
    const { directory, queue } = this;
    const m = this.#machine;
    const cpu = queue.cpu[message]!;
    const grant = this.#transfer(record, message, start, owner, LossKind.Invalidate);
    const free = grant + this.#hop(m.nodeOfCpu[cpu]!);
    directory.setOwner(record, cpu);
    directory.setFree(record, free, free);
    this.#grant(cpu, grant, LineState.Exclusive, Source.Transfer, m.nodeOfCpu[owner]!);
  }

  #takeFromSharers(record: number, message: number, start: number): void {
    const { directory, queue } = this;
    const m = this.#machine;
    const cpu = queue.cpu[message]!;
    const line = directory.lineOf(record);
    const back = this.#hop(m.nodeOfCpu[cpu]!);
    const upgrade = queue.b[message] === 1 && directory.shares(record, cpu);
    const noData = queue.a[message] === RequestKind.WriteNoData;
    const inLlc = !upgrade && !noData && this.llc.has(line);
    const dataAt = upgrade || noData ? start + m.upgradePs : this.#data(line, cpu, start, inLlc);
    const ackAt = this.#invalidateSharers(record, message, start, cpu);
    const grant = Math.max(dataAt, ackAt) + back;
    directory.clearSharers(record);
    directory.setOwner(record, cpu);
    directory.setFree(record, grant + back, grant + back);
    const source = upgrade || noData ? Source.Upgrade : inLlc ? Source.LastLevel : Source.Memory;
    this.#grant(cpu, grant, LineState.Exclusive, source, this.node);
  }

  /** DC CIVAC: every copy goes, memory is up to date, nobody owns the line. */
  #flush(record: number, message: number, start: number): void {
    const { directory, queue } = this;
    const m = this.#machine;
    const cpu = queue.cpu[message]!;
    const line = directory.lineOf(record);
    const back = this.#hop(m.nodeOfCpu[cpu]!);
    const owner = directory.owner(record);
    let ackAt = start + m.lookaheadPs;
    if (owner >= 0) {
      const hop = this.#hop(m.nodeOfCpu[owner]!);
      this.#snoop(owner, start, queue.hi[message]!, queue.lo[message]!, LossKind.Invalidate, 0);
      ackAt = start + m.lookaheadPs + 2 * hop;
      this.#memoryBusy(start);
    }
    ackAt = Math.max(ackAt, this.#invalidateSharers(record, message, start, cpu));
    if (this.llc.remove(line)) this.#memoryBusy(start);
    directory.setOwner(record, -1);
    directory.clearSharers(record);
    const grant = ackAt + back;
    directory.setFree(record, grant + back, grant + back);
    // The record must outlive the losses under way; then it says nothing and goes.
    if (directory.fifoHead(record) < 0) this.#wakeLine(line, grant + back);
    this.#grant(cpu, grant, LineState.Invalid, Source.None, this.node);
  }

  /**
   * A page of memory without bytes in one service: waits until its lines are free, removes every
   * copy, costs channel time for all of it. The CPU adds the cost per line itself.
   */
  #servePage(message: number, now: number): void {
    this.transactions++;
    const { directory, queue } = this;
    const m = this.#machine;
    const cpu = queue.cpu[message]!;
    const paHi = queue.hi[message]!;
    const first = lineKey(paHi, queue.lo[message]!);
    const lines = queue.c[message]! / 64;
    const back = this.#hop(m.nodeOfCpu[cpu]!);
    let start = this.#takePort(first, now);
    for (let line = first; line !== ((first + lines) | 0); line = (line + 1) | 0) {
      const record = directory.find(line);
      if (record >= 0) start = Math.max(start, directory.freeExclusive(record));
    }
    let ackAt = start + m.lookaheadPs;
    for (let line = first; line !== ((first + lines) | 0); line = (line + 1) | 0) {
      this.llc.remove(line);
      const record = directory.find(line);
      if (record >= 0) ackAt = Math.max(ackAt, this.#evictEverywhere(record, paHi, line, start));
    }
    this.#channelFree = Math.max(this.#channelFree, start) + lines * m.channelPsPerLine[this.node]!;
    const grant = Math.max(ackAt, this.#channelFree) + back;
    for (let line = first; line !== ((first + lines) | 0); line = (line + 1) | 0) {
      const record = directory.find(line);
      if (record < 0) continue;
      directory.setFree(record, grant + back, grant + back);
      if (directory.fifoHead(record) < 0) this.#wakeLine(line, grant + back);
    }
    this.#grant(cpu, grant, LineState.Invalid, Source.None, this.node);
  }

  /** Removes every copy of a line without a new holder; returns when the last answer is here. */
  #evictEverywhere(record: number, paHi: number, line: number, start: number): number {
    const { directory } = this;
    const m = this.#machine;
    const paLo = line << 6;
    const hi = (paHi & ~63) | (line >>> 26);
    let ackAt = start;
    const owner = directory.owner(record);
    if (owner >= 0) {
      this.#snoop(owner, start, hi, paLo, LossKind.Invalidate, 0);
      ackAt = start + m.lookaheadPs + 2 * this.#hop(m.nodeOfCpu[owner]!);
    }
    for (let cpu = 0; cpu < m.cpuCount; cpu++) {
      if (!directory.shares(record, cpu)) continue;
      this.#snoop(cpu, start, hi, paLo, LossKind.Invalidate, 0);
      ackAt = Math.max(ackAt, start + m.lookaheadPs + 2 * this.#hop(m.nodeOfCpu[cpu]!));
    }
    directory.setOwner(record, -1);
    directory.clearSharers(record);
    return ackAt;
  }

  /** Snoops the owner and returns when the line reaches the requester. */
  #transfer(record: number, message: number, start: number, owner: number, kind: LossKind): number {
    const { queue, directory } = this;
    const m = this.#machine;
    const cpu = queue.cpu[message]!;
    const from = m.nodeOfCpu[owner]!;
    const to = m.nodeOfCpu[cpu]!;
    const path = m.hopPs[from * m.nodeCount + to]!;
    const effect = this.#snoop(owner, start, queue.hi[message]!, queue.lo[message]!, kind, 0);
    let grant = start + this.#transferPs(owner, cpu) + this.#hop(from) + path;
    if (from !== to) {
      grant += m.transferExtraPs[from * m.nodeCount + to]!;
      grant = Math.max(grant, this.#takeLink(to, grant));
    }
    assert(grant >= effect + path, 'a grant precedes the loss plus the way to the winner');
    this.#countTransfer(directory.lineOf(record), from === to);
    return grant;
  }

  /** Invalidates all sharers but one; returns when the last acknowledgement is here. */
  #invalidateSharers(record: number, message: number, start: number, except: number): number {
    const { directory, queue } = this;
    const m = this.#machine;
    let ackAt = start;
    let snoops = 0;
    for (let word = 0; word < directory.sharerWords; word++) {
      let mask = directory.sharers(record, word);
      while (mask !== 0) {
        const bit = 31 - Math.clz32(mask & -mask);
        mask &= mask - 1;
        const cpu = word * 32 + bit;
        if (cpu === except) continue;
        const hop = this.#hop(m.nodeOfCpu[cpu]!);
        this.#snoop(
          cpu,
          start,
          queue.hi[message]!,
          queue.lo[message]!,
          LossKind.Invalidate,
          snoops,
        );
        ackAt = Math.max(ackAt, start + m.lookaheadPs + 2 * hop);
        snoops++;
      }
    }
    if (snoops === 0) return start;
    const slice = directory.lineOf(record) & (m.homeSlices - 1);
    this.#portFree[slice] = this.#portFree[slice]! + snoops * m.snoopPs;
    return ackAt + snoops * m.snoopPs;
  }

  /** Tells a CPU that it loses the line; returns the time of effect (ER-T8). */
  #snoop(
    cpu: number,
    start: number,
    paHi: number,
    paLo: number,
    kind: LossKind,
    place: number,
  ): number {
    const m = this.#machine;
    const grid = m.gridPs;
    const arrival = start + this.#hop(m.nodeOfCpu[cpu]!);
    const effect = Math.max(
      Math.floor(arrival / grid) * grid,
      (Math.floor(start / grid) + 1) * grid,
    );
    // The loss is on the boundary, the wake-up has the snoop's own way and place (ER-W7).
    const spread = hash32(this.#seedLow, cpu, lineKey(paHi, paLo), start | 0) >>> 0;
    const wake =
      Math.max(effect, arrival + place * m.snoopPs) +
      m.wakePs +
      Math.floor((spread * m.wakeSpreadPs) / 0x1_0000_0000);
    this.#port.lose(cpu, effect, paHi, paLo, kind, wake);
    return effect;
  }

  /** When the data of a line is at this home, from the last-level cache or memory. */
  #data(line: number, cpu: number, start: number, inLlc: boolean): number {
    const m = this.#machine;
    const to = m.nodeOfCpu[cpu]!;
    let at: number;
    if (inLlc) {
      at = start + m.llc.latencyPs;
    } else {
      const extra = m.memoryExtraPs[to * m.nodeCount + this.node]!;
      const queued = Math.max(0, this.#channelFree - start);
      this.#memoryBusy(start);
      at = start + queued + m.dramPsOfNode[this.node]! + extra;
      if (this.llc.insertAbsent(line, false)) this.#memoryBusy(start);
    }
    return to === this.node ? at : Math.max(at, this.#takeLink(to, at));
  }

  /** One line of channel time. */
  #memoryBusy(start: number): void {
    this.#channelFree =
      Math.max(this.#channelFree, start) + this.#machine.channelPsPerLine[this.node]!;
  }

  /** One line over the link to a node: returns when it may leave. */
  #takeLink(node: number, atPs: number): number {
    const leaves = Math.max(atPs, this.#linkFree[node]!);
    this.#linkFree[node] =
      leaves + this.#machine.linkPsPerLine[this.node * this.#machine.nodeCount + node]!;
    return leaves;
  }

  #fillLlc(line: number, dirty: boolean, start: number): void {
    if (this.llc.insert(line, dirty)) this.#memoryBusy(start);
  }

  #takeWriteBack(message: number, now: number): void {
    const { directory, queue } = this;
    const line = lineKey(queue.hi[message]!, queue.lo[message]!);
    const record = directory.find(line);
    if (record < 0 || directory.owner(record) !== queue.cpu[message]) return;
    directory.setOwner(record, -1);
    // A clean victim is an address without data.
    if (queue.a[message] === 1) this.#fillLlc(line, true, now);
    this.#dropIfSilent(record, now);
  }

  /** A record that says nothing goes (ER-D11). */
  #dropIfSilent(record: number, now: number): void {
    const { directory } = this;
    if (directory.owner(record) >= 0 || directory.fifoHead(record) >= 0) return;
    if (directory.hasSharers(record) || directory.freeExclusive(record) > now) return;
    directory.drop(record);
  }

  #transferPs(owner: number, cpu: number): number {
    const m = this.#machine;
    if (m.nodeOfCpu[owner] !== m.nodeOfCpu[cpu]) return m.transferNodePs;
    if (m.clusterOfCpu[owner] === m.clusterOfCpu[cpu]) return m.transferClusterPs;
    return m.dieOfCpu[owner] === m.dieOfCpu[cpu] ? m.transferDiePs : m.transferNodePs;
  }

  #hop(node: number): number {
    return this.#machine.hopPs[this.node * this.#machine.nodeCount + node]!;
  }

  #countTransfer(line: number, local: boolean): void {
    const symbol = line >= 0 && line < this.#symbolOfLine.length ? this.#symbolOfLine[line]! : 0;
    if (symbol === 0) return;
    const at = 2 * (symbol - 1) + (local ? 0 : 1);
    this.traffic[at] = this.traffic[at]! + 1;
  }

  #grant(cpu: number, timePs: number, state: number, source: Source, fromNode: number): void {
    this.#port.grant(cpu, timePs, state, source, fromNode);
  }
}

function lineKey(paHi: number, paLo: number): number {
  return ((paHi & 63) << 26) | (paLo >>> 6);
}
