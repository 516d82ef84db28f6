/**
 * The private caches of a CPU and its conversation with the homes: L1D and unified L2 (inclusive),
 * L1I (with CTR_EL0.DIC included in the L2, else apart and not coherent). A CPU touches a line's
 * content only while its L2 holds the line.
 *
 * One request at a time; a hit costs arithmetic, a miss writes one request and blocks the CPU until
 * the grant, which performs the access that asked for it before the line can be lost again (ER-D5).
 */

import { assert } from '../../base/assert.ts';
import { mix32 } from '../../base/random.ts';
import { InstructionCache } from '../../cache/instruction-cache.ts';
import { Source } from '../../cache/line-service.ts';
import { isShared, LineState, LossKind, RequestKind } from '../../cache/line-state.ts';
import { TagArray } from '../../cache/tag-array.ts';
import { isBacked, lineOf, nodeOf } from '../../memory/physical-address.ts';
import { Counter } from '../../metrics/definition.ts';
import { CpuCore, type CpuEnvironment } from './cpu-core.ts';
import { EMPTY_ZONE, NEVER, NO_PAGE_HI, Status, WaitFor } from './cpu-state.ts';

export class CachedCpu extends CpuCore {
  protected readonly l1d: TagArray;
  protected readonly l1i: InstructionCache;
  /** CTR_EL0.DIC: what takes a line from the L2 takes it from the L1I. */
  protected readonly coherentText: boolean;
  /**
   * Virtual address of the line fetched last, which the CPU goes on executing, whatever becomes of
   * memory, caches and TLBs, until it fetches another or synchronises its context.
   */
  protected fetchedHi = NO_PAGE_HI;
  protected fetchedLo = 0;
  /** Its physical address, while a coherent L1I lets the CPU see it as memory is; else none. */
  protected liveHi = NO_PAGE_HI;
  protected liveLo = 0;
  protected readonly l2: TagArray;
  /** Last-level domain that reads of other nodes' lines go through, or -1. */
  readonly #domain: number;
  protected readonly l1LatencyPs: number;
  protected readonly l2LatencyPs: number;
  /** The line that the outstanding request is for, and what its answer will be. */
  protected requestHi = 0;
  protected requestLo = 0;
  protected waitFor: number = WaitFor.Data;
  /** What hitL2 found, before it looked at rights. */
  #stateInL2: number = LineState.Invalid;
  /** Index in the L1D of the line granted last. */
  protected grantedWay = 0;
  #grantState: number = LineState.Invalid;
  #grantSource: number = Source.None;
  #grantFrom = 0;
  /** Line that a parked conditional load watches. */
  protected parkedHi = 0;
  protected parkedLo = 0;
  /** When it looked at the line last: without WFE, polls are counted from here. */
  protected parkedPs = 0;
  /** 0: the CPU has WFE. */
  readonly #pollPs: number;

  constructor(id: number, slot: number, environment: CpuEnvironment) {
    super(id, slot, environment);
    const { machine } = environment;
    this.l1d = new TagArray(machine.l1d, machine.nodeCount);
    this.coherentText = machine.features.dic;
    this.l1i = new InstructionCache(machine.l1i, machine.nodeCount, this.coherentText);
    this.l2 = new TagArray(machine.l2, machine.nodeCount);
    this.#pollPs = machine.pollPs ?? 0;
    this.#domain = environment.fabric.domains.domains?.ofCpu[id] ?? -1;
    this.l1LatencyPs = machine.l1d.latencyPs;
    this.l2LatencyPs = machine.l2.latencyPs;
  }

  /**
   * State of the line in the L2 if it has enough rights (its time is then charged), else Invalid.
   * `write`: 1 needs an exclusive state, which becomes Modified; 0 takes any.
   */
  protected hitL2(paHi: number, paLo: number, write: number): number {
    const state = this.l2.touch(paHi, paLo);
    this.#stateInL2 = state;
    if (state <= write) return LineState.Invalid;
    this.clock += this.l2LatencyPs;
    if (write === 0 || state === LineState.Modified) return state;
    this.l2.setState(this.l2.find(paHi, paLo), LineState.Modified);
    return LineState.Modified;
  }

  /** Asks the home; the CPU is blocked until the grant. Writes come here from `hitL2`. */
  protected ask(
    paHi: number,
    paLo: number,
    kind: RequestKind,
    waitFor: number,
    bytes: number,
  ): void {
    const home = nodeOf(paHi);
    const hop = this.machine.hopPs[this.node * this.machine.nodeCount + home]!;
    const hadCopy = kind === RequestKind.Write && this.#stateInL2 !== LineState.Invalid;
    this.requestHi = paHi;
    this.requestLo = paLo;
    this.waitFor = waitFor;
    this.status = Status.WaitLine;
    this.nextPs = NEVER;
    if (waitFor === WaitFor.Data || waitFor === WaitFor.Condition) {
      this.counters[Counter.Misses] = this.counters[Counter.Misses]! + 1;
    }
    if (this.#domain >= 0 && home !== this.node && isShared(kind)) {
      this.fabric.domains.request(this.id, this.#domain, this.clock, paHi, paLo, kind);
      return;
    }
    this.fabric.request(this.id, home, this.clock + hop, paHi, paLo, kind, hadCopy, bytes);
  }

  /** The answer is known: the line arrives at `timePs`. Called by the fabric. */
  granted(timePs: number, state: number, source: number, fromNode: number): void {
    const asked = this.status === Status.WaitLine;
    if (!asked) assert(false, `CPU ${this.id} is granted a line it did not ask for`);
    this.status = Status.Granted;
    this.nextPs = timePs;
    this.#grantState = state;
    this.#grantSource = source;
    this.#grantFrom = fromNode;
  }

  /** Time has come to the grant: the line is here. */
  protected takeGrant(): void {
    this.clock = this.nextPs;
    this.status = Status.Run;
    const hi = this.requestHi;
    const lo = this.requestLo;
    const state = this.#grantState;
    this.grantHash = mix32(
      mix32(this.grantHash ^ (this.clock | 0)) ^ lineOf(hi, lo) ^ Math.imul(state + 1, 0x9e3779b1),
    );
    this.#countSource();
    if (state === LineState.Invalid) return;
    this.#install(hi, lo, state);
    if (this.waitFor === WaitFor.Fetch) this.copyToL1i(hi, lo);
  }

  #install(hi: number, lo: number, state: number): void {
    const way = this.l2.find(hi, lo);
    if (way >= 0) {
      this.l2.setState(way, state);
    } else {
      this.l2.fill(hi, lo, state);
      if (this.l2.victimState !== LineState.Invalid) this.#evict();
    }
    if (this.waitFor === WaitFor.Data || this.waitFor === WaitFor.Condition) {
      this.copyToL1d(hi, lo, state);
    }
  }

  /** The victim of an L2 fill leaves: owned lines go home, shared ones silently. */
  #evict(): void {
    const hi = this.l2.victimHi;
    const lo = this.l2.victimLo;
    const l1State = this.l1d.remove(hi, lo);
    if (this.coherentText) this.dropText(hi, lo);
    if (this.l2.victimState === LineState.Shared) return;
    const dirty = this.l2.victimState === LineState.Modified || l1State === LineState.Modified;
    const home = nodeOf(hi);
    const hop = this.machine.hopPs[this.node * this.machine.nodeCount + home]!;
    this.counters[Counter.WriteBacks] = this.counters[Counter.WriteBacks]! + 1;
    this.fabric.writeBack(this.id, home, this.clock + hop, hi, lo, dirty);
  }

  /** Puts a line that the L2 holds into the L1D. */
  protected copyToL1d(paHi: number, paLo: number, state: number): void {
    const way = this.l1d.find(paHi, paLo);
    if (way >= 0) {
      this.l1d.setState(way, state);
      this.grantedWay = way;
      return;
    }
    this.grantedWay = this.l1d.fill(paHi, paLo, state);
    if (this.l1d.victimState !== LineState.Modified) return;
    const l2Way = this.l2.find(this.l1d.victimHi, this.l1d.victimLo);
    assert(l2Way >= 0, 'the L2 includes the L1D');
    this.l2.setState(l2Way, LineState.Modified);
  }

  /** Takes the line from the L1I; what is being executed stays as it is now. */
  protected dropText(paHi: number, paLo: number): void {
    this.l1i.remove(paHi, paLo);
    if (paHi === this.liveHi && (paLo ^ this.liveLo) >>> 6 === 0) this.freezeFetched();
  }

  /** The line fetched last is about to be lost. */
  protected freezeFetched(): void {
    this.liveHi = NO_PAGE_HI;
  }

  /** A Modified copy in the L1D goes to the L2, which holds the line. */
  protected cleanL1d(paHi: number, paLo: number): void {
    const way = this.l1d.find(paHi, paLo);
    if (way < 0 || this.l1d.stateAt(way) !== LineState.Modified) return;
    this.l1d.setState(way, LineState.Exclusive);
    this.l2.setState(this.l2.find(paHi, paLo), LineState.Modified);
  }

  /** Puts a line that the L2 holds into the L1I, which it missed, as memory is now. */
  protected copyToL1i(hi: number, lo: number): void {
    const known = this.l1i.touch(hi, lo) !== LineState.Invalid;
    if (known) assert(false, 'a line is fetched that the L1I holds');
    this.l1i.fill(hi, lo, LineState.Shared);
    if (!this.coherentText) this.l1i.copy(lo, this.zoneOf(hi, lo));
    this.witness?.access(this.id, hi, lo, false, this.clock);
    this.watch?.text.taken(hi, lo, this.clock);
  }

  zoneOf(paHi: number, paLo: number): Int32Array {
    if (!isBacked(paHi, paLo, this.backedBytes)) return EMPTY_ZONE;
    return this.memory.zones[nodeOf(paHi)]!;
  }

  /**
   * Context synchronisation event (ISB, exception entry and return, guest entry and exit): what
   * was fetched before is fetched anew.
   */
  protected synchroniseContext(): void {
    this.watch?.text.synchronised(this.clock);
    this.fetchedHi = NO_PAGE_HI;
    this.liveHi = NO_PAGE_HI;
  }

  /** The copy is lost at a window boundary. Called before any CPU runs in that window. */
  lose(effectPs: number, paHi: number, paLo: number, kind: LossKind, wakePs: number): void {
    if (kind === LossKind.Downgrade) {
      const l1 = this.l1d.find(paHi, paLo);
      if (l1 >= 0) this.l1d.setState(l1, LineState.Shared);
      const l2 = this.l2.find(paHi, paLo);
      if (l2 >= 0) this.l2.setState(l2, LineState.Shared);
      return;
    }
    this.dropLine(paHi, paLo);
    if (this.status !== Status.Parked) return;
    if (this.parkedHi !== paHi || (this.parkedLo ^ paLo) >>> 6 !== 0) return;
    assert(wakePs >= effectPs, 'a wake-up precedes the loss that caused it');
    this.status = Status.Waking;
    this.nextPs = this.#pollPs === 0 ? wakePs : this.#pollAt(effectPs);
    this.counters[Counter.WfeWakes] = this.counters[Counter.WfeWakes]! + 1;
  }

  /** The first look at the line that finds it lost. */
  #pollAt(effectPs: number): number {
    const polls = Math.max(1, Math.ceil((effectPs - this.parkedPs) / this.#pollPs));
    return this.parkedPs + polls * this.#pollPs;
  }

  /** Drops the own copies (snoop, DC CIVAC). */
  protected dropLine(paHi: number, paLo: number): void {
    this.l1d.remove(paHi, paLo);
    this.l2.remove(paHi, paLo);
    if (this.coherentText) this.dropText(paHi, paLo);
  }

  #countSource(): void {
    const { counters } = this;
    const local = this.#grantFrom === this.node;
    if (this.waitFor === WaitFor.Fetch) {
      const fetched = local ? Counter.FetchesLocal : Counter.FetchesRemote;
      counters[fetched] = counters[fetched]! + 1;
    }
    let counter: number;
    switch (this.#grantSource) {
      case Source.Upgrade:
        counter = Counter.Upgrades;
        break;
      case Source.LastLevel:
        counter = Counter.LlcHits;
        break;
      case Source.Domain:
        counters[Counter.LlcRemoteHits] = counters[Counter.LlcRemoteHits]! + 1;
        counter = Counter.LlcHits;
        break;
      case Source.Memory:
        counter = local ? Counter.LocalDram : Counter.RemoteDram;
        break;
      case Source.Transfer:
        counter = local ? Counter.LocalTransfers : Counter.RemoteTransfers;
        break;
      default:
        return;
    }
    counters[counter] = counters[counter]! + 1;
  }
}
