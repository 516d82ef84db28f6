/**
 * The part of an emulated CPU that touches nothing shared: identity, clock, measurements, counters,
 * costs, random streams. Base of the chain CpuCore <- CachedCpu <- RegimeCpu <- ...
 * <- VirtualCpu: one object with one shape per CPU, so that the hit path is plain field access.
 *
 * Invariants: `clock` is an integer and never decreases; `until` is `limit` when the next attempt
 * starts afresh and -1 otherwise, so that one comparison sends every special case to the slow path.
 */

import { assert } from '../../base/assert.ts';
import { RandomStream } from '../../base/random.ts';
import { CpuWatch } from '../../checkers/cpu-watch.ts';
import type { Cost } from '../../machine/costs.ts';
import { COST_COUNT } from '../../machine/costs.ts';
import type { Machine } from '../../machine/machine.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { Counter } from '../../metrics/definition.ts';
import type { Recorder } from '../../metrics/recorder.ts';
import { NEVER, Phase, Status } from './cpu-state.ts';
import type { Fabric } from './fabric.ts';
import { BLOCK_SHIFT, type NextTimes } from './next-times.ts';
import type { OrderWitness } from './order-witness.ts';
import type { EngineSpec } from './spec.ts';

/** What the CPUs of one worker share on the host; programs never see it. */
export interface CpuEnvironment {
  readonly spec: EngineSpec;
  readonly machine: Machine;
  readonly memory: PhysicalMemory;
  readonly fabric: Fabric;
  readonly recorder: Recorder;
  /**
   * When each CPU of the worker can act next: side by side, because every window reads them all.
   */
  readonly nextTimes: NextTimes;
  readonly witness: OrderWitness | null;
  /** Which pages are or were tables, for checkers; null: checks are off. */
  readonly tableMarks: readonly Uint8Array[] | null;
}

export class CpuCore {
  readonly id: number;
  readonly node: number;
  readonly cpuCount: number;
  readonly backedBytes: number;
  lo = 0;
  hi = 0;
  ok = false;
  ret = 0;

  clock = 0;
  /** The program may act while clock < limit: the window's end or the next interrupt. */
  limit = 0;
  until = 0;
  windowEnd = 0;
  phaseOfAttempt: number = Phase.None;
  status: number = Status.Run;
  /** This CPU's place in `nextTimes`. */
  readonly slot: number;
  /** Stalls by DVM operations last until here (waiting time counts as stalled). */
  stallUntil = 0;
  grantHash = 0;

  readonly counters: Float64Array;
  readonly costUses = new Float64Array(COST_COUNT);
  readonly phaseStartPs: Float64Array;
  readonly phaseEndPs: Float64Array;
  readonly phaseMarks: Float64Array;
  protected readonly machine: Machine;
  protected readonly memory: PhysicalMemory;
  protected readonly fabric: Fabric;
  protected readonly environment: CpuEnvironment;
  protected readonly witness: OrderWitness | null;
  /** What checkers see of this CPU; null: checks are off. */
  readonly watch: CpuWatch | null;
  readonly #times: Float64Array;
  readonly #stale: Uint8Array;
  readonly #costsPs: Float64Array;
  readonly #recorder: Recorder;
  readonly #openPs: Float64Array;
  readonly #streams: RandomStream[];
  #phaseIndex = 0;
  /** Refused attempts since the program was last resumed (ER-T11). */
  protected refusals = 0;

  constructor(id: number, slot: number, environment: CpuEnvironment) {
    const { spec, machine } = environment;
    this.id = id;
    this.slot = slot;
    this.#times = environment.nextTimes.times;
    this.#stale = environment.nextTimes.stale;
    this.environment = environment;
    this.witness = environment.witness;
    this.watch = makeWatch(id, this, environment);
    this.machine = machine;
    this.memory = environment.memory;
    this.fabric = environment.fabric;
    this.node = machine.nodeOfCpu[id]!;
    this.cpuCount = machine.cpuCount;
    this.backedBytes = environment.memory.backedBytes;
    this.counters = new Float64Array(spec.counterCount);
    this.phaseStartPs = new Float64Array(spec.phaseCount).fill(-1);
    this.phaseEndPs = new Float64Array(spec.phaseCount).fill(-1);
    this.phaseMarks = new Float64Array(spec.phaseCount);
    this.#costsPs = machine.costsPs;
    this.#recorder = environment.recorder;
    this.#openPs = new Float64Array(spec.metricCount).fill(-1);
    this.#streams = spec.streams.map((name) => new RandomStream(spec.seed, name, id));
    if (spec.phaseCount > 0) this.phaseStartPs[0] = 0;
  }

  /** When the CPU can act next; NEVER while it waits for an answer. */
  get nextPs(): number {
    return this.#times[this.slot]!;
  }

  set nextPs(timePs: number) {
    this.#times[this.slot] = timePs;
    this.#stale[this.slot >> BLOCK_SHIFT] = 1;
  }

  nodeOfCpu(id: number): number {
    return this.machine.nodeOfCpu[id]!;
  }

  perCpuHi(id: number): number {
    return this.environment.spec.perCpuHi[id]!;
  }

  perCpuLo(id: number): number {
    return this.environment.spec.perCpuLo[id]!;
  }

  /** The attempt continues later from this phase. */
  protected setPhase(phase: number): void {
    this.phaseOfAttempt = phase;
    this.until = phase === Phase.None ? this.limit : -1;
  }

  protected setLimit(limit: number): void {
    this.limit = limit;
    if (this.phaseOfAttempt === Phase.None) this.until = limit;
  }

  /** Refuses the attempt: the program must yield and repeat it. */
  protected refuse(): boolean {
    if (++this.refusals > 1000) {
      assert(false, `CPU ${this.id} repeats an attempt without yielding (1000 refusals)`);
    }
    return false;
  }

  spend(cost: Cost): void {
    this.clock += this.#costsPs[cost]!;
    this.costUses[cost] = this.costUses[cost]! + 1;
  }

  spendMany(cost: Cost, count: number): void {
    this.clock += this.#costsPs[cost]! * count;
    this.costUses[cost] = this.costUses[cost]! + count;
  }

  protected costPs(cost: Cost): number {
    this.costUses[cost] = this.costUses[cost]! + 1;
    return this.#costsPs[cost]!;
  }

  compute(costPs: number): void {
    const valid = Number.isSafeInteger(costPs) && costPs >= 0;
    if (!valid) assert(false, `compute(${costPs}): whole picoseconds`);
    this.clock += costPs;
  }

  begin(metric: number): void {
    const open = this.#openPs[metric] !== -1;
    if (open) assert(false, `metric ${metric} begins twice on CPU ${this.id}`);
    this.#openPs[metric] = this.clock;
  }

  end(metric: number): void {
    const start = this.#openPs[metric]!;
    if (start < 0) assert(false, `metric ${metric} ends without a beginning on CPU ${this.id}`);
    this.#openPs[metric] = -1;
    this.record(metric, this.clock - start);
  }

  /** A latency of the phase that the CPU is in. */
  protected record(metric: number, ps: number): void {
    this.#recorder.record(metric, this.node, this.#phaseIndex, ps);
  }

  cancel(metric: number): void {
    this.#openPs[metric] = -1;
  }

  count(counter: number, amount: number): void {
    this.counters[counter] = this.counters[counter]! + amount;
  }

  mark(): void {
    this.counters[Counter.Marks] = this.counters[Counter.Marks]! + 1;
    this.phaseMarks[this.#phaseIndex] = this.phaseMarks[this.#phaseIndex]! + 1;
    this.fabric.progress(this.clock);
  }

  phase(index: number): void {
    assert(index >= 0 && index < this.phaseStartPs.length, `phase ${index} is not declared`);
    this.phaseEndPs[this.#phaseIndex] = this.clock;
    this.#phaseIndex = index;
    if (this.phaseStartPs[index] === -1) this.phaseStartPs[index] = this.clock;
  }

  /** Closes the last phase; called once, after the run. */
  closePhases(): void {
    if (this.phaseEndPs.length > 0) this.phaseEndPs[this.#phaseIndex] = this.clock;
  }

  random(stream: number): number {
    return this.#streams[stream]!.uint32();
  }

  deadline(afterPs: number): number {
    return afterPs === NEVER ? NEVER : this.clock + afterPs;
  }

  expired(deadline: number): boolean {
    return this.clock >= deadline;
  }
}

function makeWatch(
  id: number,
  clock: { readonly clock: number },
  environment: CpuEnvironment,
): CpuWatch | null {
  const { machine, memory, tableMarks } = environment;
  if (tableMarks === null) return null;
  const { cpuCount, features } = machine;
  const activeCount = environment.spec.activeCpus.length;
  return new CpuWatch(id, clock, {
    cpuCount,
    activeCount,
    bbm: features.bbm,
    marks: tableMarks,
    memory,
  });
}
