/**
 * What a CPU of the host engine measures and knows of itself, without touching anything shared:
 * identity, wall clock, latencies, counters, phases, random streams. Times are the host's (ER-H7):
 * one monotonic clock for all threads, in picoseconds since the run began.
 */

import { assert } from '../../base/assert.ts';
import { RandomStream } from '../../base/random.ts';
import type { Cost } from '../../machine/costs.ts';
import { Counter } from '../../metrics/definition.ts';
import { Recorder } from '../../metrics/recorder.ts';
import { Block, blockOf } from './control.ts';
import { Doorbell } from './doorbell.ts';
import type { HostTask } from './spec.ts';

const PS_PER_MS = 1_000_000_000;

/** Milliseconds of the clock that all threads of the host share. */
export function hostClockMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1_000_000;
}

export abstract class HostMeasures {
  readonly id: number;
  readonly node: number;
  readonly cpuCount: number;
  lo = 0;
  hi = 0;
  ok = false;
  ret = 0;

  protected readonly task: HostTask;
  protected readonly bell: Doorbell;
  protected readonly words: Int32Array<SharedArrayBuffer>;
  protected readonly block: number;
  protected marks = 0;
  readonly counters: Float64Array;
  readonly phaseStartPs: Float64Array;
  readonly phaseEndPs: Float64Array;
  readonly phaseMarks: Float64Array;
  readonly recorder: Recorder;
  /** What performance.now() lacks to be the time since the run began. */
  readonly #clockOffsetMs: number;
  readonly #open = new Map<number, number[]>();
  readonly #streams: RandomStream[];
  #phase = 0;

  constructor(task: HostTask, round: number) {
    const { spec, cpu } = task;
    this.task = task;
    this.id = cpu;
    this.node = spec.machine.nodeOfCpu[cpu]!;
    this.cpuCount = spec.machine.cpuCount;
    this.bell = new Doorbell(task.control, this.cpuCount, cpu);
    this.words = this.bell.words;
    this.block = blockOf(this.bell.layout, cpu);
    this.counters = new Float64Array(Math.max(spec.counterCount, COUNTERS_USED));
    this.phaseStartPs = new Float64Array(spec.phaseCount).fill(-1);
    this.phaseEndPs = new Float64Array(spec.phaseCount).fill(-1);
    this.phaseMarks = new Float64Array(spec.phaseCount);
    this.recorder = new Recorder({
      metrics: Math.max(1, spec.metricCount),
      nodes: spec.machine.nodeCount,
      phases: Math.max(1, spec.phaseCount),
    });
    this.#clockOffsetMs = hostClockMs() - performance.now() - task.startMs;
    this.#streams = spec.streams.map((name) => new RandomStream(spec.seed + round, name, cpu));
    if (spec.phaseCount > 0) this.phaseStartPs[0] = this.nowPs();
  }

  protected nowPs(): number {
    return Math.max(0, Math.round((performance.now() + this.#clockOffsetMs) * PS_PER_MS));
  }

  nodeOfCpu(id: number): number {
    return this.task.spec.machine.nodeOfCpu[id]!;
  }

  perCpuHi(id: number): number {
    return this.task.spec.perCpuHi[id]!;
  }

  perCpuLo(id: number): number {
    return this.task.spec.perCpuLo[id]!;
  }

  /** Costs are of the emulated machine: here the real one takes its own time. */
  spend(_cost: Cost): void {}

  spendMany(_cost: Cost, _count: number): void {}

  deadline(afterPs: number): number {
    return this.nowPs() + afterPs;
  }

  expired(deadline: number): boolean {
    return this.nowPs() >= deadline;
  }

  begin(metric: number): void {
    const starts = this.#open.get(metric);
    if (starts === undefined) this.#open.set(metric, [this.nowPs()]);
    else starts.push(this.nowPs());
  }

  end(metric: number): void {
    const start = this.#open.get(metric)?.pop();
    assert(start !== undefined, `end of metric ${metric} without begin on cpu ${this.id}`);
    this.recorder.record(metric, this.node, this.#phase, Math.max(0, this.nowPs() - start));
  }

  cancel(metric: number): void {
    const start = this.#open.get(metric)?.pop();
    assert(start !== undefined, `cancel of metric ${metric} without begin on cpu ${this.id}`);
  }

  count(counter: number, amount: number): void {
    this.counters[counter]! += amount;
  }

  mark(): void {
    this.marks++;
    this.words[this.block + Block.Marks]!++;
    this.counters[Counter.Marks]!++;
    if (this.phaseMarks.length > 0) this.phaseMarks[this.#phase]!++;
  }

  phase(index: number): void {
    assert(index >= 0 && index < this.phaseStartPs.length, `phase ${index} is not declared`);
    const now = this.nowPs();
    this.phaseEndPs[this.#phase] = now;
    this.#phase = index;
    if (this.phaseStartPs[index] === -1) this.phaseStartPs[index] = now;
  }

  /** Closes the last phase; called once, when the program has ended. */
  protected closePhases(): void {
    if (this.phaseEndPs.length > 0) this.phaseEndPs[this.#phase] = this.nowPs();
  }

  random(stream: number): number {
    return this.#streams[stream]!.uint32();
  }
}

/** Counters that this engine raises itself. */
const COUNTERS_USED = Object.keys(Counter).length;
