/**
 * A home agent of the naive engine, from the rules in src/engine/virtual/README.md: one record per
 * line that is never dropped, a JavaScript array as FIFO, resources as "free at" numbers.
 */

import { assert } from '../../src/base/assert.ts';
import { hash32, seedHalves } from '../../src/base/random.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { type EventHeap, When } from './event-heap.ts';
import { LastLevel, LINE_BYTES, Mesi } from './naive-cache.ts';
import { domainsOf, type NaiveDomains } from './naive-domain.ts';
import { freeFor, type LineRecord, newRecord } from './naive-line-record.ts';
import { type HomeListener, lineNumber, type Origin, type Request } from './naive-messages.ts';

const Rank = { WriteBack: 0, Leave: 1, LineFree: 2, Request: 3 } as const;

export class NaiveHome {
  readonly node: number;
  readonly #machine: Machine;
  readonly #heap: EventHeap;
  readonly #listener: HomeListener;
  readonly #seed: readonly [number, number];
  readonly #records = new Map<number, LineRecord>();
  readonly #llc: LastLevel;
  readonly #domains: NaiveDomains | null;
  readonly #portFree = new Map<number, number>();
  readonly #linkFree = new Map<number, number>();
  #channelFree = 0;

  constructor(
    node: number,
    machine: Machine,
    seed: number,
    heap: EventHeap,
    listener: HomeListener,
  ) {
    this.node = node;
    this.#machine = machine;
    this.#heap = heap;
    this.#listener = listener;
    this.#seed = seedHalves(seed);
    this.#llc = new LastLevel(machine.llc);
    this.#domains = domainsOf(machine);
  }

  // ---- arrivals -------------------------------------------------------------------------------

  request(time: number, request: Request): void {
    const order = this.#order(Rank.Request, request.cpu, request.line, time);
    this.#heap.push(time, order, () => {
      if (request.wish === 'page') this.#page(request, time);
      else this.#arrive(request, time);
    });
  }

  writeBack(time: number, cpu: number, line: number, dirty: boolean): void {
    this.#heap.push(time, this.#order(Rank.WriteBack, cpu, line, time), () => {
      const record = this.#record(line);
      if (record.owner !== cpu) return;
      record.owner = -1;
      const hop = this.#hopToCpu(cpu);
      if (this.#domainGets(record, cpu, line, time + hop)) {
        record.freeExclusive = Math.max(record.freeExclusive, time + 2 * hop);
      }
      if (dirty) this.#toLlc(line, true, time);
    });
  }

  /** A domain has lost a line for want of room, unless it was sent it again meanwhile. */
  domainLeaves(time: number, domain: number, line: number): void {
    this.#heap.push(time, this.#order(Rank.Leave, domain, line, time), () => {
      const record = this.#record(line);
      if (record.freeExclusive < time) record.domains.delete(domain);
    });
  }

  #domainGets(record: LineRecord, cpu: number, line: number, time: number): boolean {
    if (this.#domains === null || this.#nodeOf(cpu) === this.node) return false;
    record.domains.add(this.#domains.ofCpu[cpu]!);
    this.#listener.domainGets(cpu, time, line);
    return true;
  }

  #order(rank: number, cpu: number, line: number, time: number): number[] {
    const [low, high] = this.#seed;
    const hash = hash32(low ^ this.node, lineNumber(line), cpu, (time | 0) ^ high);
    return [When.Home, rank, hash, cpu, lineNumber(line)];
  }

  #arrive(request: Request, now: number): void {
    const record = this.#record(request.line);
    if (record.waiting.length === 0 && freeFor(record, request) <= now) {
      this.#serve(record, request, now);
      return;
    }
    record.waiting.push(request);
    if (record.waiting.length === 1) this.#lookAgain(request.line, freeFor(record, request));
  }

  #lookAgain(line: number, time: number): void {
    this.#heap.push(time, [When.Home, Rank.LineFree, 0, 0, lineNumber(line)], () => {
      const record = this.#record(line);
      while (record.waiting.length > 0) {
        const first = record.waiting[0]!;
        const free = freeFor(record, first);
        if (free > time) {
          this.#lookAgain(line, free);
          return;
        }
        record.waiting.shift();
        this.#serve(record, first, time);
      }
    });
  }

  // ---- services -------------------------------------------------------------------------------

  #serve(record: LineRecord, request: Request, now: number): void {
    const { cpu, line } = request;
    const start = this.#takePort(line, now);
    const back = this.#hopToCpu(cpu);
    if (request.wish === 'flush') {
      this.#flush(record, request, start);
    } else if (request.wish === 'read' || request.wish === 'fetch') {
      if (record.owner >= 0) this.#readFromOwner(record, request, start);
      else this.#readFromHome(record, request, start);
    } else if (record.owner >= 0) {
      const from = record.owner;
      const time = this.#transfer(request, start, from, 'invalidate');
      record.owner = cpu;
      record.freeShared = record.freeExclusive = time + back;
      this.#grant(cpu, time, Mesi.Exclusive, 'transfer', this.#nodeOf(from));
    } else {
      this.#takeFromSharers(record, request, start);
    }
  }

  #readFromOwner(record: LineRecord, request: Request, start: number): void {
    const { cpu, line } = request;
    const from = record.owner;
    const time = this.#transfer(request, start, from, 'downgrade');
    const dataHere = start + this.#transferPs(from, cpu) + 2 * this.#hopToCpu(from);
    record.owner = -1;
    record.sharers.add(from);
    record.sharers.add(cpu);
    record.freeShared = dataHere;
    record.freeExclusive = Math.max(time + this.#hopToCpu(cpu), dataHere);
    this.#toLlc(line, true, start);
    this.#domainGets(record, from, line, start + this.#hopToCpu(from));
    this.#domainGets(record, cpu, line, time);
    this.#grant(cpu, time, Mesi.Shared, 'transfer', this.#nodeOf(from));
  }

  #readFromHome(record: LineRecord, request: Request, start: number): void {
    const { cpu, line } = request;
    const back = this.#hopToCpu(cpu);
    const { time: leaves, origin } = this.#data(line, cpu, start);
    const time = leaves + back;
    const shared = record.sharers.size > 0 || record.domains.size > 0;
    if (shared || request.wish === 'fetch') {
      record.sharers.add(cpu);
      this.#domainGets(record, cpu, line, time);
      record.freeExclusive = Math.max(record.freeExclusive, time + back);
      this.#grant(cpu, time, Mesi.Shared, origin, this.node);
      return;
    }
    record.owner = cpu;
    record.freeShared = record.freeExclusive = time + back;
    this.#grant(cpu, time, Mesi.Exclusive, origin, this.node);
  }

  #takeFromSharers(record: LineRecord, request: Request, start: number): void {
    const { cpu, line } = request;
    const back = this.#hopToCpu(cpu);
    const listed =
      record.sharers.has(cpu) ||
      (this.#domains !== null && record.domains.has(this.#domains.ofCpu[cpu]!));
    const noDataNeeded = request.wish === 'write-no-data' || (request.hadCopy && listed);
    const data = noDataNeeded
      ? { time: start + this.#machine.upgradePs, origin: 'upgrade' as const }
      : this.#data(line, cpu, start);
    const acknowledged = this.#invalidateSharers(record, line, start, cpu);
    const time = Math.max(data.time, acknowledged) + back;
    record.sharers.clear();
    record.domains.clear();
    record.owner = cpu;
    record.freeShared = record.freeExclusive = time + back;
    this.#grant(cpu, time, Mesi.Exclusive, data.origin, this.node);
  }

  #flush(record: LineRecord, request: Request, start: number): void {
    const { cpu, line } = request;
    const back = this.#hopToCpu(cpu);
    const owned = record.owner >= 0;
    const acknowledged = this.#removeCopies(record, line, start);
    if (owned) this.#takeChannel(start, 1);
    if (this.#llc.take(line)) this.#takeChannel(start, 1);
    const time = Math.max(acknowledged, start + this.#machine.lookaheadPs) + back;
    record.freeShared = record.freeExclusive = time + back;
    this.#grant(cpu, time, Mesi.Invalid, 'none', this.node);
  }

  #page(request: Request, now: number): void {
    const { cpu, line: first, bytes } = request;
    const back = this.#hopToCpu(cpu);
    const lines = Array.from({ length: bytes / LINE_BYTES }, (_, i) => first + i * LINE_BYTES);
    const known = lines.filter((line) => this.#says(line, now));
    let start = this.#takePort(first, now);
    for (const line of known) start = Math.max(start, this.#record(line).freeExclusive);
    let acknowledged = start + this.#machine.lookaheadPs;
    for (const line of lines) this.#llc.take(line);
    for (const line of known) {
      acknowledged = Math.max(acknowledged, this.#removeCopies(this.#record(line), line, start));
    }
    this.#takeChannel(start, lines.length);
    const time = Math.max(acknowledged, this.#channelFree) + back;
    for (const line of known) {
      const record = this.#record(line);
      record.freeShared = record.freeExclusive = time + back;
    }
    this.#grant(cpu, time, Mesi.Invalid, 'none', this.node);
  }

  /** Does the directory know anything about the line? */
  #says(line: number, now: number): boolean {
    const record = this.#records.get(line);
    if (record === undefined) return false;
    if (record.owner >= 0 || record.sharers.size > 0 || record.waiting.length > 0) return true;
    if (record.domains.size > 0) return true;
    return record.freeExclusive > now;
  }

  #removeCopies(record: LineRecord, line: number, start: number): number {
    let acknowledged = this.#invalidateSharers(record, line, start, -1);
    if (record.owner >= 0) {
      this.#snoop(record.owner, line, start, 'invalidate', 0);
      acknowledged = Math.max(acknowledged, this.#roundTrip(record.owner, start));
    }
    record.owner = -1;
    record.sharers.clear();
    record.domains.clear();
    return acknowledged;
  }

  #invalidateSharers(record: LineRecord, line: number, start: number, except: number): number {
    const victims = [...record.sharers].filter((cpu) => cpu !== except).sort((a, b) => a - b);
    const domains = [...record.domains];
    if (victims.length + domains.length === 0) return start;
    victims.forEach((cpu, place) => {
      this.#snoop(cpu, line, start, 'invalidate', place);
    });
    const last = Math.max(
      ...victims.map((cpu) => this.#roundTrip(cpu, start)),
      ...domains.map((domain) => this.#snoopDomain(domain, line, start, except)),
    );
    const fanOut = (victims.length + domains.length) * this.#machine.snoopPs;
    const slice = this.#sliceOf(line);
    this.#portFree.set(slice, (this.#portFree.get(slice) ?? 0) + fanOut);
    return last + fanOut;
  }

  #snoopDomain(domain: number, line: number, start: number, except: number): number {
    const m = this.#machine;
    const node = this.#domains!.nodeOf[domain]!;
    this.#listener.domainLoses(domain, start + this.#hop(node), line, except);
    const gone = start + m.llc.latencyPs + m.lookaheadPs;
    const told = except >= 0 && this.#nodeOf(except) === node;
    return told ? gone : gone + 2 * this.#hop(node);
  }

  #transfer(
    request: Request,
    start: number,
    owner: number,
    kind: 'downgrade' | 'invalidate',
  ): number {
    const m = this.#machine;
    const from = this.#nodeOf(owner);
    const to = this.#nodeOf(request.cpu);
    const path = m.hopPs[from * m.nodeCount + to]!;
    assert(owner !== request.cpu, 'the owner of a line asks for it again');
    const effect = this.#snoop(owner, request.line, start, kind, 0);
    let time = start + this.#transferPs(owner, request.cpu) + this.#hop(from) + path;
    if (from !== to) {
      time = this.#takeLink(to, time + m.transferExtraPs[from * m.nodeCount + to]!);
    }
    assert(time >= effect + path, 'a grant precedes a loss plus the way');
    return time;
  }

  /** The loss is on a grid boundary after the service, the wake-up when the snoop comes. */
  #snoop(
    cpu: number,
    line: number,
    start: number,
    kind: 'downgrade' | 'invalidate',
    place: number,
  ): number {
    const m = this.#machine;
    const arrival = start + this.#hopToCpu(cpu);
    const floor = (time: number): number => Math.floor(time / m.gridPs) * m.gridPs;
    const effect = Math.max(floor(arrival), floor(start) + m.gridPs);
    const random = hash32(this.#seed[0], cpu, lineNumber(line), start | 0) >>> 0;
    const spread = Math.floor((random * m.wakeSpreadPs) / 2 ** 32);
    const wake = Math.max(effect, arrival + place * m.snoopPs) + m.wakePs + spread;
    this.#listener.loses(cpu, effect, line, kind, wake);
    return effect;
  }

  #data(line: number, cpu: number, start: number): { time: number; origin: Origin } {
    const m = this.#machine;
    const to = this.#nodeOf(cpu);
    if (this.#llc.has(line)) {
      return { time: this.#takeLink(to, start + m.llc.latencyPs), origin: 'llc' };
    }
    const from = this.#takeChannel(start, 1);
    this.#toLlc(line, false, start);
    const extra = m.memoryExtraPs[to * m.nodeCount + this.node]!;
    const there = from + m.dramPsOfNode[this.node]! + extra;
    return { time: this.#takeLink(to, there), origin: 'memory' };
  }

  // ---- resources ------------------------------------------------------------------------------

  #sliceOf(line: number): number {
    return (lineNumber(line) >>> 0) % this.#machine.homeSlices;
  }

  #takePort(line: number, now: number): number {
    const slice = this.#sliceOf(line);
    const start = Math.max(now, this.#portFree.get(slice) ?? 0);
    this.#portFree.set(slice, start + this.#machine.homeServicePs);
    return start;
  }

  #takeChannel(start: number, lines: number): number {
    const from = Math.max(start, this.#channelFree);
    this.#channelFree = from + lines * this.#machine.channelPsPerLine[this.node]!;
    return from;
  }

  #takeLink(to: number, time: number): number {
    if (to === this.node) return time;
    const m = this.#machine;
    const leaves = Math.max(time, this.#linkFree.get(to) ?? 0);
    this.#linkFree.set(to, leaves + m.linkPsPerLine[this.node * m.nodeCount + to]!);
    return leaves;
  }

  #toLlc(line: number, dirty: boolean, start: number): void {
    if (this.#llc.put(line, dirty)) this.#takeChannel(start, 1);
  }

  #record(line: number): LineRecord {
    let record = this.#records.get(line);
    if (record === undefined) {
      record = newRecord();
      this.#records.set(line, record);
    }
    return record;
  }

  #roundTrip(cpu: number, start: number): number {
    return start + this.#machine.lookaheadPs + 2 * this.#hopToCpu(cpu);
  }

  #transferPs(owner: number, cpu: number): number {
    const m = this.#machine;
    if (m.nodeOfCpu[owner] !== m.nodeOfCpu[cpu]) return m.transferNodePs;
    if (m.clusterOfCpu[owner] === m.clusterOfCpu[cpu]) return m.transferClusterPs;
    if (m.dieOfCpu[owner] === m.dieOfCpu[cpu]) return m.transferDiePs;
    return m.transferNodePs;
  }

  #nodeOf(cpu: number): number {
    return this.#machine.nodeOfCpu[cpu]!;
  }

  #hop(node: number): number {
    return this.#machine.hopPs[this.node * this.#machine.nodeCount + node]!;
  }

  #hopToCpu(cpu: number): number {
    return this.#hop(this.#nodeOf(cpu));
  }

  #grant(cpu: number, time: number, state: number, origin: Origin, fromNode: number): void {
    this.#listener.granted(cpu, { time, state, origin, fromNode });
  }
}
