/**
 * Memory accesses of a CPU of the naive engine: private caches, requests to homes, grants and
 * losses, and one access from translation to performance, written as one sequential program.
 */

import { mix32 } from '../../src/base/random.ts';
import { Condition } from '../../src/cpu/operations.ts';
import { Counter } from '../../src/metrics/definition.ts';
import { LINE_BYTES, Mesi, PrivateCache, TextCache } from './naive-cache.ts';
import type { NaiveRun } from './naive-engine.ts';
import { type Grant, lineNumber, type Wish } from './naive-messages.ts';
import { type Access, addressNumber, isFault, NaiveTranslation } from './naive-translation.ts';
import type { Micro } from './naive-walk.ts';

/** Where an access was performed. */
export interface Place {
  readonly pa: number;
  /** A handler skipped it: reads give 0, writes go nowhere. */
  readonly skipped: boolean;
  /** The line was brought by a grant. */
  readonly granted: boolean;
}

export abstract class NaiveMemory extends NaiveTranslation {
  readonly l1d: PrivateCache;
  readonly l1i: TextCache;
  readonly l2: PrivateCache;
  grantHash = 0;
  #grant: Grant | null = null;
  #asked = { line: 0, into: 'data' as 'data' | 'descriptor' | 'text' | 'nothing' };
  #parkedLine = -1;
  #looked = 0;

  constructor(id: number, run: NaiveRun) {
    super(id, run);
    this.l1d = new PrivateCache(this.machine.l1d);
    this.l1i = new TextCache(this.machine.l1i);
    this.l2 = new PrivateCache(this.machine.l2);
  }

  peek(pa: number): number {
    return this.run.peek(pa);
  }
  poke(pa: number, value: number): void {
    this.run.poke(pa, value);
  }

  // ---- requests, grants, losses ---------------------------------------------------------------

  protected ask(
    address: number,
    wish: Wish,
    into: 'data' | 'descriptor' | 'text' | 'nothing',
    bytes = 0,
  ): void {
    const line = lineOf(address);
    const hadCopy = wish === 'write' && this.l2.state(line) !== Mesi.Invalid;
    this.#asked = { line, into };
    this.state = 'line';
    if (into === 'data') this.count(Counter.Misses, 1);
    const home = Math.floor(line / 2 ** 38);
    const arrival = this.clock + this.#hop(home);
    const request = { cpu: this.id, line, wish, hadCopy, bytes };
    const domain = this.run.domainOf(this.id, home);
    const shared = wish === 'read' || wish === 'fetch';
    if (domain !== null && shared) domain.request(this.clock, request);
    else this.run.homes[home]!.request(arrival, request);
  }

  granted(grant: Grant): void {
    this.#grant = grant;
    this.state = 'granted';
    this.schedule(grant.time);
  }

  protected override takeGrant(): void {
    const { state, origin, fromNode, time } = this.#grant!;
    const { line, into } = this.#asked;
    const word = lineNumber(line) ^ Math.imul(state + 1, 0x9e3779b1);
    this.grantHash = mix32(mix32(this.grantHash ^ (time | 0)) ^ word);
    this.#countOrigin(origin, fromNode === this.node);
    if (into === 'text') {
      this.count(fromNode === this.node ? Counter.FetchesLocal : Counter.FetchesRemote, 1);
    }
    if (state === Mesi.Invalid) return;
    if (this.l2.state(line) !== Mesi.Invalid) this.l2.change(line, state);
    else this.#fillL2(line, state);
    if (into === 'data') this.toL1d(line, state);
    if (into === 'text') this.l1i.add(line, this.wordsOf(line));
  }

  #countOrigin(origin: Grant['origin'], local: boolean): void {
    if (origin === 'upgrade') this.count(Counter.Upgrades, 1);
    if (origin === 'llc' || origin === 'domain') this.count(Counter.LlcHits, 1);
    if (origin === 'domain') this.count(Counter.LlcRemoteHits, 1);
    if (origin === 'memory') this.count(local ? Counter.LocalDram : Counter.RemoteDram, 1);
    if (origin === 'transfer') {
      this.count(local ? Counter.LocalTransfers : Counter.RemoteTransfers, 1);
    }
  }

  #fillL2(line: number, state: number): void {
    const victim = this.l2.add(line, state);
    if (victim === null) return;
    const inL1 = this.l1d.drop(victim.line);
    this.leaves(victim.line);
    if (victim.state === Mesi.Shared) return;
    const dirty = victim.state === Mesi.Modified || inL1 === Mesi.Modified;
    const home = Math.floor(victim.line / 2 ** 38);
    this.count(Counter.WriteBacks, 1);
    this.run.homes[home]!.writeBack(this.clock + this.#hop(home), this.id, victim.line, dirty);
  }

  /** A line has left the L2, which includes the L1I only if that is coherent. */
  protected leaves(line: number): void {
    if (this.machine.features.dic) this.dropText(line);
  }

  protected abstract dropText(line: number): void;

  protected wordsOf(line: number): readonly number[] {
    return Array.from({ length: LINE_BYTES / 4 }, (_, i) => this.peek(line + 4 * i));
  }

  protected toL1d(line: number, state: number): void {
    if (this.l1d.state(line) !== Mesi.Invalid) {
      this.l1d.change(line, state);
      return;
    }
    const victim = this.l1d.add(line, state);
    if (victim !== null && victim.state === Mesi.Modified) {
      this.l2.change(victim.line, Mesi.Modified);
    }
  }

  loses(line: number, kind: 'downgrade' | 'invalidate', wake: number): void {
    if (kind === 'downgrade') {
      this.l1d.change(line, Mesi.Shared);
      this.l2.change(line, Mesi.Shared);
      return;
    }
    this.l1d.drop(line);
    this.l2.drop(line);
    this.leaves(line);
    if (this.state !== 'parked' || this.#parkedLine !== line) return;
    this.state = 'waking';
    this.count(Counter.WfeWakes, 1);
    this.schedule(this.#wakeOrPoll(wake));
  }

  /** Without WFE the CPU looks every so often, from when it looked last. */
  #wakeOrPoll(wake: number): number {
    const { pollPs } = this.machine;
    if (pollPs === undefined) return wake;
    let poll = this.#looked + pollPs;
    while (poll < this.run.now) poll += pollPs;
    return poll;
  }

  #hop(node: number): number {
    return this.machine.hopPs[this.node * this.machine.nodeCount + node]!;
  }

  // ---- for the walk ---------------------------------------------------------------------------

  /** Uses the line in the L2 if its state allows; charges the time. */
  protected override hitSecondLevel(pa: number, write: boolean): boolean {
    const line = lineOf(pa);
    const state = this.l2.use(line);
    if (state < (write ? Mesi.Exclusive : Mesi.Shared)) return false;
    if (write) this.l2.change(line, Mesi.Modified);
    this.clock += this.machine.l2.latencyPs;
    return true;
  }

  protected override askForDescriptor(pa: number, write: boolean): void {
    this.ask(pa, write ? 'write' : 'read', 'descriptor');
  }

  protected override descriptorIsHere(pa: number, write: boolean): void {
    if (write) this.l2.change(lineOf(pa), Mesi.Modified);
  }

  // ---- one access -----------------------------------------------------------------------------

  /** From the CPU's moment to the access itself; null: it faulted. */
  protected *access(
    aHi: number,
    aLo: number,
    access: 'read' | 'write',
    wish: Wish = access,
  ): Micro<Place | null> {
    if (this.takeSkip()) {
      this.clock += 1;
      return { pa: 0, skipped: true, granted: false };
    }
    for (;;) {
      const pa = yield* this.translated(aHi, aLo, access);
      if (pa === null) return null;
      const line = lineOf(pa);
      const enough = access === 'write' ? Mesi.Exclusive : Mesi.Shared;
      if (this.l1d.use(line) >= enough) {
        if (access === 'write') this.l1d.change(line, Mesi.Modified);
        this.clock += this.machine.l1d.latencyPs;
        this.count(Counter.L1Hits, 1);
        return { pa, skipped: false, granted: false };
      }
      if (this.hitSecondLevel(pa, access === 'write')) {
        this.toL1d(line, this.l2.state(line));
        this.count(Counter.L2Hits, 1);
        return { pa, skipped: false, granted: false };
      }
      this.ask(pa, wish, 'data');
      yield 'line';
      if (this.takeMark()) continue;
      if (access === 'write') this.l1d.change(line, Mesi.Modified);
      this.#afterGrant(1);
      return { pa, skipped: false, granted: true };
    }
  }

  /** The physical address at a moment at which it may be used; null: it faulted. */
  protected *translated(aHi: number, aLo: number, access: Access): Micro<number | null> {
    const va = addressNumber(aHi, aLo);
    for (;;) {
      yield* this.moment();
      const entry = yield* this.translation(va, access);
      if (isFault(entry)) {
        this.raise(va, access, entry);
        return null;
      }
      this.restOn(va, entry.stage1Shift);
      yield* this.moment();
      if (!this.takeMark()) return entry.pa + (va - entry.base);
    }
  }

  #afterGrant(ps: number): void {
    this.clock += ps;
    this.clock = Math.max(this.clock, this.stallUntil);
  }

  // ---- conditions -----------------------------------------------------------------------------

  protected *condition(
    aHi: number,
    aLo: number,
    holds: (value: number) => boolean,
    deadline: number,
  ): Micro<boolean> {
    const place = yield* this.access(aHi, aLo, 'read');
    if (place === null) return false;
    this.hi = 0;
    this.lo = place.skipped ? 0 : this.peek(wordOf(place.pa));
    this.ok = !place.skipped && holds(this.lo);
    if (this.ok || place.skipped || this.clock >= deadline) return true;
    this.marked = false;
    for (;;) {
      this.#parkedLine = lineOf(place.pa);
      this.#looked = this.clock;
      this.park(deadline);
      yield 'park';
      if ((this.state as string) === 'waking') {
        this.ask(place.pa, 'read', 'data');
        yield 'line';
        if (this.takeMark()) return false;
        this.lo = this.peek(wordOf(place.pa));
      }
      this.ok = holds(this.lo);
      if (this.ok || this.clock >= deadline) break;
    }
    this.#afterGrant(1);
    return true;
  }
}

export function lineOf(pa: number): number {
  return Math.floor(pa / LINE_BYTES) * LINE_BYTES;
}

export function wordOf(pa: number): number {
  return Math.floor(pa / 4) * 4;
}

export function conditionHolds(
  kind: number,
  mask: number,
  operand: number,
): (value: number) => boolean {
  return (value) => {
    const masked = value & mask;
    if (kind === Condition.Equal) return masked === (operand | 0);
    if (kind === Condition.NotEqual) return masked !== (operand | 0);
    if (kind === Condition.AtLeastWrapping) return ((masked - operand) | 0) >= 0;
    if (kind === Condition.AnyBitClear) return masked !== mask;
    return masked !== 0;
  };
}
