/**
 * State of a CPU of the explore engine, and its program agent's row in the execution: the attempt
 * that is announced, as the scheduler sees it, and whether it can be performed as things are.
 */

import {
  comesThrough,
  conditionHolds,
  type Exception,
  Fence,
  InterruptLevel,
  Order,
  Regime,
} from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { BYTES_OF, KIND_OF, OPERATION_NAMES, Op } from './attempts.ts';
import { StepKind } from './execution.ts';
import type { ExploreMemory } from './explore-memory.ts';
import type { Explorer } from './explorer.ts';
import { ProgramFault } from './result.ts';
import { StoreBuffer } from './store-buffer.ts';

/** Of the attempt: none; refused and shown to the scheduler; to be performed; to be skipped. */
export const Phase = { Free: 0, Announced: 1, Granted: 2, Skipped: 3 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** The lower half of the kernel's addresses; modules, vmalloc, image and fixmap are above. */
export function isLinear(aHi: number): boolean {
  return (aHi & 0xffff8000) === LINEAR_MAP_HI;
}

export abstract class ExploreCpuRow {
  readonly id: number;
  readonly node: number;
  readonly cpuCount: number;
  readonly backedBytes: number;
  lo = 0;
  hi = 0;
  ok = false;
  ret = 0;
  regime: Regime = Regime.Host;
  exception: Exception = noException();

  // The attempt that is announced: operation, address, operands.
  gatePhase: Phase = Phase.Free;
  op: Op = Op.None;
  aHi = 0;
  aLo = 0;
  x0 = 0;
  x1 = 0;
  x2 = 0;
  x3 = 0;
  order = 0;
  /** Its word in memory, if it accesses memory, and its physical address. */
  word = 0;
  protected paHi = 0;
  protected paLo = 0;
  /** It waits for a condition on its word. */
  protected waits = false;
  /** A translation for it is being walked. */
  walking = false;
  /** It goes through a translation, not the linear map. */
  translated = false;
  /** It will count as performed without being so (skipAttempt). */
  protected skipNext = false;
  protected skipRequested = false;

  wakePending = false;
  interruptsEnabled = true;
  /** Of the handler that runs. */
  level: InterruptLevel = InterruptLevel.Task;
  /** Vectors on their way, oldest first. */
  readonly vectors: number[] = [];
  protected readonly levels = new Map<number, InterruptLevel>();
  /** TLBIs of this CPU that some receiver has not applied. */
  owed = 0;
  readonly buffer = new StoreBuffer();
  /** Word of the last atomic update: the lock that a queue's waiter is after. */
  lastUpdate = -1;
  marks = 0;

  readonly world: Explorer;
  readonly memory: ExploreMemory;
  readonly tso: boolean;

  constructor(world: Explorer, id: number) {
    this.world = world;
    this.id = id;
    this.memory = world.memory;
    this.tso = world.model === 'tso';
    this.node = world.machine.nodeOfCpu[id]!;
    this.cpuCount = world.machine.cpuCount;
    this.backedBytes = world.memory.backedBytes;
  }

  /** Finds the attempt's physical address (paHi, paLo); false: a walk or an exception began. */
  protected abstract translateAttempt(): boolean;

  /** Is this part of the linear map read from its tables, too? By the low half of the address. */
  protected byTables(aLo: number): boolean {
    return aLo >>> 0 >= this.world.linearTablesFrom;
  }

  /** As at boot. */
  reset(): void {
    this.lo = this.hi = this.ret = 0;
    this.ok = false;
    this.regime = Regime.Host;
    this.gatePhase = Phase.Free;
    this.op = Op.None;
    this.walking = this.waits = this.skipRequested = this.skipNext = this.wakePending = false;
    this.interruptsEnabled = true;
    this.level = InterruptLevel.Task;
    if (this.vectors.length > 0) this.vectors.length = 0;
    this.owed = 0;
    this.buffer.clear();
    this.lastUpdate = -1;
    this.marks = 0;
  }

  /** Which of `vectors` would be taken now: the highest level, then the oldest; -1 = none. */
  dueVector(): number {
    const { vectors, levels, level, interruptsEnabled } = this;
    let best = -1;
    let bestLevel: InterruptLevel = InterruptLevel.Task;
    for (let i = 0; i < vectors.length; i++) {
      const own = levels.get(vectors[i]!) ?? InterruptLevel.Hard;
      if (own <= bestLevel || !comesThrough(own, level, interruptsEnabled)) continue;
      best = i;
      bestLevel = own;
    }
    return best;
  }

  /** The program is wrong, not the engine: one clear finding. */
  fault(what: string): never {
    throw new ProgramFault(`the program of CPU ${this.id} ${what}`);
  }

  /** The word as this CPU sees it. */
  protected visible(word: number): number {
    if (this.buffer.count === 0) return this.memory.words[word]!;
    return this.buffer.visible(this.memory.words, word);
  }

  /** Shows the announced attempt to the scheduler. */
  publish(): void {
    const { id, op, world, aHi, aLo } = this;
    const bytes = this.skipNext ? 0 : BYTES_OF[op]!;
    const kind = this.skipNext ? StepKind.Other : (KIND_OF[op]! as StepKind);
    this.translated = false;
    if (bytes === 0) {
      if (op === Op.Translate && !this.skipNext && !this.#translate()) return;
      this.show(kind, aHi, aLo, 0);
      this.refresh();
      return;
    }
    if ((aLo & (bytes - 1)) !== 0) {
      this.fault(`makes a misaligned ${OPERATION_NAMES[op]} at 0x${hex(aHi)}${hex(aLo)}`);
    }
    if (this.regime === Regime.Host && isLinear(aHi) && !this.byTables(aLo)) {
      this.paHi = aHi & 0xffff;
      this.paLo = aLo;
    } else {
      this.translated = true;
      if (!this.#translate()) return;
    }
    this.word = this.memory.indexOf(this.paHi, this.paLo);
    this.show(this.tso ? this.#tsoKind(kind) : kind, this.paHi, this.paLo, bytes);
    if (kind <= StepKind.Update && !this.tso) world.setEnabled(id, 1);
    else this.refresh();
  }

  /** False: the attempt is not to be seen now. */
  #translate(): boolean {
    this.world.kind[this.id] = StepKind.None;
    this.world.setEnabled(this.id, 0);
    return this.translateAttempt();
  }

  #tsoKind(kind: StepKind): StepKind {
    if (kind !== StepKind.Write) return kind;
    return this.order === Order.SequentiallyConsistent ? StepKind.Update : StepKind.Buffer;
  }

  protected show(kind: StepKind, hi: number, lo: number, bytes: number): void {
    const { world, id } = this;
    const waits = kind === StepKind.Await;
    if (waits !== this.waits) this.setWaits(waits);
    world.kind[id] = kind;
    world.hi[id] = hi;
    world.lo[id] = lo;
    world.bytes[id] = bytes;
  }

  /** The explorer looks for waiters only while there are some. */
  protected setWaits(waits: boolean): void {
    this.waits = waits;
    this.world.waiting += waits ? 1 : -1;
  }

  /** Can the announced step be taken as things are? Called whenever that may have changed. */
  refresh(): void {
    const { world, id } = this;
    if (this.gatePhase !== Phase.Announced || this.walking) return;
    const kind = world.kind[id] as StepKind;
    let enabled = true;
    switch (kind) {
      case StepKind.None:
        return;
      case StepKind.Await:
      case StepKind.Expire:
        enabled = conditionHolds(this.visible(this.word), this.x0, this.x1, this.x2);
        if (this.op === Op.Cond32Until) {
          world.kind[id] = enabled ? StepKind.Await : StepKind.Expire;
          enabled = true;
        }
        break;
      case StepKind.Read:
        // Maintenance by address comes after the CPU's own stores to the line.
        enabled = BYTES_OF[this.op] !== 64 || !this.buffer.holdsLine(this.word);
        break;
      case StepKind.Update:
      // What the kernel does around them (wmb before an IPI, the full barrier of a wake-up).
      case StepKind.Ipi:
      case StepKind.Wake:
        enabled = this.buffer.count === 0;
        break;
      case StepKind.Buffer:
        enabled = !this.buffer.full;
        break;
      case StepKind.Fence:
        enabled = this.buffer.count === 0 || !isFullFence(this.aHi);
        break;
      case StepKind.Dsb:
        enabled = this.buffer.count === 0 && this.owed === 0;
        break;
      case StepKind.Idle:
        enabled = this.wakePending || this.vectors.length > 0;
        break;
    }
    world.setEnabled(id, enabled ? 1 : 0);
  }
}

/** Loads stay in order and stores, too, under tso: only full fences have something to wait for. */
function isFullFence(kind: number): boolean {
  return kind === Fence.DmbIsh || kind === Fence.DsbIshSt;
}

function noException(): Exception {
  return {
    fsc: 0,
    write: false,
    instruction: false,
    stage1Walk: false,
    farHi: 0,
    farLo: 0,
    ipaHi: 0,
    ipaLo: 0,
  };
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
