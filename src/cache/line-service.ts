/**
 * What a home does when it serves a request for a line: the table of the directory protocol (ER
 * 1.2). Each case computes the time of the grant, posts the losses, and says from when the line is
 * free for shared and for exclusive requests.
 *
 * Invariant, asserted: a grant is never earlier than a loss of the line plus the way from the loser
 * to the winner.
 */

import { assert } from '../base/assert.ts';
import type { Machine } from '../machine/machine.ts';
import { Directory } from './directory.ts';
import { type DomainPort, DomainSharers } from './domain-sharers.ts';
import { HomeTiming } from './home-timing.ts';
import { LastLevelCache } from './last-level-cache.ts';
import { LineState, LossKind, RequestKind } from './line-state.ts';

/** Where an answer came from; counted by the CPU that asked. */
export const Source = {
  Upgrade: 0,
  LastLevel: 1,
  Memory: 2,
  Transfer: 3,
  None: 4,
  Domain: 5,
} as const;
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

export class LineService {
  readonly directory: Directory;
  readonly llc: LastLevelCache;
  readonly timing: HomeTiming;
  /** null: no other node's last-level cache keeps lines of this home. */
  readonly domains: DomainSharers | null;
  /** Cache-to-cache transfers by symbol of the line: [local, remote] pairs; see nameLines. */
  traffic = new Float64Array(0);
  /** Directory records of the page served last. */
  pageRecords = new Int32Array(64);
  pageRecordCount = 0;
  /** Requests served. */
  transactions = 0;
  readonly #machine: Machine;
  readonly #port: HomePort;
  #symbolOfLine: Int16Array = new Int16Array(0);
  // The request being served.
  #cpu = 0;
  #paHi = 0;
  #paLo = 0;
  // Times are fields, because V8 boxes doubles that are passed on or returned.
  /** Start of the service. */
  #start = 0;
  /** Way back from the home to the CPU that asked. */
  #back = 0;
  /** When the requester has the line; when the last acknowledgement is here. */
  #grant = 0;
  #ackAt = 0;

  constructor(
    node: number,
    machine: Machine,
    seed: number,
    port: HomePort,
    domains: DomainPort | null = null,
  ) {
    this.#machine = machine;
    this.#port = port;
    const domainCount = domains?.domains?.count ?? 0;
    this.directory = new Directory(machine.cpuCount + domainCount);
    this.llc = new LastLevelCache(machine.llc);
    this.timing = new HomeTiming(node, machine, seed);
    this.domains =
      domains === null || domainCount === 0
        ? null
        : new DomainSharers(this.timing, this.directory, domains);
  }

  /** Counts transfers of named lines: `symbolOfLine[line]` = symbol + 1, 0 = none. */
  nameLines(symbolOfLine: Int16Array, symbolCount: number): void {
    this.#symbolOfLine = symbolOfLine;
    this.traffic = new Float64Array(2 * symbolCount);
  }

  /** Serves one request whose line is free for it. `hadCopy`: a shared copy when it asked. */
  serve(
    record: number,
    cpu: number,
    paHi: number,
    paLo: number,
    kind: RequestKind,
    hadCopy: boolean,
    now: number,
  ): void {
    this.transactions++;
    const { directory, timing } = this;
    this.#cpu = cpu;
    this.#paHi = paHi;
    this.#paLo = paLo;
    this.#back = timing.hopToCpu(cpu);
    this.#start = timing.takePort(directory.lineOf(record), now);
    const owner = directory.owner(record);
    assert(owner !== cpu || kind === RequestKind.Flush, 'the owner of a line asks for it again');
    if (kind === RequestKind.Read || kind === RequestKind.Fetch) {
      if (owner >= 0) this.#readFromOwner(record, owner);
      else this.#readFromHome(record, kind === RequestKind.Fetch);
    } else if (kind === RequestKind.Flush) {
      this.#flush(record);
    } else if (owner >= 0) {
      this.#takeFromOwner(record, owner);
    } else {
      this.#takeFromSharers(record, hadCopy, kind === RequestKind.WriteNoData);
    }
  }

  #readFromOwner(record: number, owner: number): void {
    const { directory, timing } = this;
    const cpu = this.#cpu;
    this.#transfer(record, owner, LossKind.Downgrade);
    const grant = this.#grant;
    const dataHere = this.#start + timing.transferPs(owner, cpu) + 2 * timing.hopToCpu(owner);
    directory.setOwner(record, -1);
    directory.addSharer(record, owner);
    directory.addSharer(record, cpu);
    directory.setFree(record, dataHere, Math.max(grant + this.#back, dataHere));
    this.fillLlc(directory.lineOf(record), true, this.#start);
    if (this.domains !== null) {
      const here = this.#start + timing.hopToCpu(owner);
      this.domains.fill(record, owner, here, this.#paHi, this.#paLo);
      this.domains.fill(record, cpu, grant, this.#paHi, this.#paLo);
    }
    const from = this.#machine.nodeOfCpu[owner]!;
    this.#port.grant(cpu, grant, LineState.Shared, Source.Transfer, from);
  }

  #readFromHome(record: number, fetch: boolean): void {
    const { directory } = this;
    const cpu = this.#cpu;
    const line = directory.lineOf(record);
    const inLlc = this.llc.has(line);
    const grant = this.#data(line, this.#start, inLlc) + this.#back;
    const source = inLlc ? Source.LastLevel : Source.Memory;
    const free = grant + this.#back;
    if (directory.hasSharers(record) || fetch) {
      directory.addSharer(record, cpu);
      const exclusive = Math.max(directory.freeExclusive(record), free);
      directory.setFree(record, directory.freeShared(record), exclusive);
      this.domains?.fill(record, cpu, grant, this.#paHi, this.#paLo);
      this.#port.grant(cpu, grant, LineState.Shared, source, this.timing.node);
    } else {
      directory.setOwner(record, cpu);
      directory.setFree(record, free, free);
      this.#port.grant(cpu, grant, LineState.Exclusive, source, this.timing.node);
    }
  }

  #takeFromOwner(record: number, owner: number): void {
    const { directory } = this;
    const cpu = this.#cpu;
    this.#transfer(record, owner, LossKind.Invalidate);
    const free = this.#grant + this.#back;
    directory.setOwner(record, cpu);
    directory.setFree(record, free, free);
    const from = this.#machine.nodeOfCpu[owner]!;
    this.#port.grant(cpu, this.#grant, LineState.Exclusive, Source.Transfer, from);
  }

  /** No owner. The home believes that the CPU has a copy only if it still lists it (ER-D6). */
  #takeFromSharers(record: number, hadCopy: boolean, noData: boolean): void {
    const { directory } = this;
    const cpu = this.#cpu;
    const line = directory.lineOf(record);
    const start = this.#start;
    const upgrade = noData || (hadCopy && this.#isListed(record, cpu));
    const inLlc = !upgrade && this.llc.has(line);
    const dataAt = upgrade ? start + this.#machine.upgradePs : this.#data(line, start, inLlc);
    this.#invalidateSharers(record, cpu);
    const grant = Math.max(dataAt, this.#ackAt) + this.#back;
    directory.clearSharers(record);
    directory.setOwner(record, cpu);
    directory.setFree(record, grant + this.#back, grant + this.#back);
    const source = upgrade ? Source.Upgrade : inLlc ? Source.LastLevel : Source.Memory;
    this.#port.grant(cpu, grant, LineState.Exclusive, source, this.timing.node);
  }

  /** DC CIVAC: every copy goes, memory is up to date, nobody owns the line. */
  #flush(record: number): void {
    const { directory, timing } = this;
    const start = this.#start;
    const hadOwner = directory.owner(record) >= 0;
    this.#removeCopies(record, this.#paHi, this.#paLo);
    if (hadOwner) timing.takeChannel(start, 1);
    if (this.llc.remove(directory.lineOf(record))) timing.takeChannel(start, 1);
    const grant = Math.max(this.#ackAt, start + this.#machine.lookaheadPs) + this.#back;
    directory.setFree(record, grant + this.#back, grant + this.#back);
    this.#port.grant(this.#cpu, grant, LineState.Invalid, Source.None, timing.node);
  }

  /**
   * A page of memory without bytes in one service: waits until its lines are free, removes every
   * copy, takes channel time for all of it. The CPU adds the cost per line itself. Returns from
   * when the lines are free again; their records stay until then.
   */
  servePage(cpu: number, paHi: number, paLo: number, bytes: number, now: number): number {
    this.transactions++;
    const { directory, timing } = this;
    const first = ((paHi & 63) << 26) | (paLo >>> 6);
    const lines = bytes / 64;
    this.#back = timing.hopToCpu(cpu);
    this.#findPage(first, lines);
    const { pageRecords } = this;
    let start = timing.takePort(first, now);
    for (let i = 0; i < this.pageRecordCount; i++) {
      start = Math.max(start, directory.freeExclusive(pageRecords[i]!));
    }
    this.#start = start;
    this.llc.removeRange(first, lines);
    let ackAt = start + this.#machine.lookaheadPs;
    for (let i = 0; i < this.pageRecordCount; i++) {
      const line = directory.lineOf(pageRecords[i]!);
      const hi = (paHi & ~63) | (line >>> 26);
      this.#removeCopies(pageRecords[i]!, hi, line << 6);
      ackAt = Math.max(ackAt, this.#ackAt);
    }
    timing.takeChannel(start, lines);
    const grant = Math.max(ackAt, timing.channelFreePs) + this.#back;
    const free = grant + this.#back;
    for (let i = 0; i < this.pageRecordCount; i++) directory.setFree(pageRecords[i]!, free, free);
    this.#port.grant(cpu, grant, LineState.Invalid, Source.None, timing.node);
    return free;
  }

  /** Records of the lines of a page, in order of line. */
  #findPage(first: number, lines: number): void {
    const { directory } = this;
    this.pageRecordCount = 0;
    for (let i = 0; i < lines; i++) {
      const line = (first + i) | 0;
      if ((line & 63) === 0 && !directory.mayHoldPage(line)) {
        i += 63;
        continue;
      }
      const record = directory.find(line);
      if (record < 0) continue;
      if (this.pageRecordCount === this.pageRecords.length) {
        const wider = new Int32Array(2 * this.pageRecords.length);
        wider.set(this.pageRecords);
        this.pageRecords = wider;
      }
      this.pageRecords[this.pageRecordCount++] = record;
    }
  }

  /** Removes every copy of a line; #ackAt: when the last answer is here. */
  #removeCopies(record: number, paHi: number, paLo: number): void {
    const { directory, timing } = this;
    this.#paHi = paHi;
    this.#paLo = paLo;
    this.#invalidateSharers(record, -1);
    const owner = directory.owner(record);
    if (owner >= 0) {
      this.#snoop(owner, LossKind.Invalidate, 0);
      const answer = this.#start + this.#machine.lookaheadPs + 2 * timing.hopToCpu(owner);
      this.#ackAt = Math.max(this.#ackAt, answer);
    }
    directory.setOwner(record, -1);
    directory.clearSharers(record);
  }

  /** Snoops the owner; #grant: when the line reaches the requester. */
  #transfer(record: number, owner: number, kind: LossKind): void {
    const { timing } = this;
    const m = this.#machine;
    const from = m.nodeOfCpu[owner]!;
    const to = m.nodeOfCpu[this.#cpu]!;
    const path = m.hopPs[from * m.nodeCount + to]!;
    this.#snoop(owner, kind, 0);
    let grant = this.#start + timing.transferPs(owner, this.#cpu) + timing.hop(from) + path;
    if (from !== to) {
      grant = timing.takeLink(to, grant + m.transferExtraPs[from * m.nodeCount + to]!);
    }
    this.#grant = grant;
    if (grant < timing.effectPs + path) {
      assert(false, 'a grant precedes the loss plus the way to the winner');
    }
    this.#countTransfer(this.directory.lineOf(record), from === to);
  }

  /** Invalidates all sharers but one; #ackAt: when the last acknowledgement is here. */
  #invalidateSharers(record: number, except: number): void {
    const { directory, timing } = this;
    const start = this.#start;
    let ackAt = start;
    let snoops = 0;
    for (let word = 0; word < directory.sharerWords; word++) {
      let mask = directory.sharers(record, word);
      while (mask !== 0) {
        const cpu = word * 32 + 31 - Math.clz32(mask & -mask);
        mask &= mask - 1;
        if (cpu === except) continue;
        if (cpu >= this.#machine.cpuCount) {
          const agent = cpu - this.#machine.cpuCount;
          const gone = this.domains!.snoop(agent, start, this.#paHi, this.#paLo, except);
          ackAt = Math.max(ackAt, gone);
          snoops++;
          continue;
        }
        this.#snoop(cpu, LossKind.Invalidate, snoops);
        ackAt = Math.max(ackAt, start + this.#machine.lookaheadPs + 2 * timing.hopToCpu(cpu));
        snoops++;
      }
    }
    if (snoops > 0) ackAt += timing.fanOut(directory.lineOf(record), snoops);
    this.#ackAt = ackAt;
  }

  /** Tells a CPU that it loses the line. */
  #snoop(cpu: number, kind: LossKind, place: number): void {
    const { timing } = this;
    timing.snoop(cpu, this.#start, this.#paHi, this.#paLo, place);
    this.#port.lose(cpu, timing.effectPs, this.#paHi, this.#paLo, kind, timing.wakePs);
  }

  /** When the data of a line may leave this home, from the last-level cache or memory. */
  #data(line: number, start: number, inLlc: boolean): number {
    const { timing } = this;
    const m = this.#machine;
    const to = m.nodeOfCpu[this.#cpu]!;
    if (inLlc) return timing.takeLink(to, start + m.llc.latencyPs);
    const from = timing.takeChannel(start, 1);
    if (this.llc.insertAbsent(line, false)) timing.takeChannel(start, 1);
    const extra = m.memoryExtraPs[to * m.nodeCount + timing.node]!;
    return timing.takeLink(to, from + m.dramPsOfNode[timing.node]! + extra);
  }

  #isListed(record: number, cpu: number): boolean {
    return this.directory.shares(record, cpu) || this.domains?.lists(record, cpu) === true;
  }

  fillLlc(line: number, dirty: boolean, start: number): void {
    if (this.llc.insert(line, dirty)) this.timing.takeChannel(start, 1);
  }

  #countTransfer(line: number, local: boolean): void {
    const symbol = line >= 0 && line < this.#symbolOfLine.length ? this.#symbolOfLine[line]! : 0;
    if (symbol === 0) return;
    const at = 2 * (symbol - 1) + (local ? 0 : 1);
    this.traffic[at] = this.traffic[at]! + 1;
  }
}
