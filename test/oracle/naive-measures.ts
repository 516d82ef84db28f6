/** What one CPU of the naive engine counts and measures; touches nothing shared. */

import { assert } from '../../src/base/assert.ts';
import { RandomStream } from '../../src/base/random.ts';
import type { Cost } from '../../src/machine/costs.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { Counter } from '../../src/metrics/definition.ts';
import type { NaiveRun } from './naive-engine.ts';

export interface Recorded {
  readonly metric: number;
  readonly node: number;
  readonly phase: number;
  readonly ps: number;
}

export class NaiveMeasures {
  readonly id: number;
  readonly node: number;
  readonly run: NaiveRun;
  readonly machine: Machine;
  readonly cpuCount: number;
  readonly backedBytes: number;
  lo = 0;
  hi = 0;
  ok = false;
  ret = 0;
  clock = 0;
  readonly counters: number[];
  readonly recorded: Recorded[] = [];
  readonly #open = new Map<number, number>();
  readonly #streams: RandomStream[];
  #phase = 0;

  constructor(id: number, run: NaiveRun) {
    this.id = id;
    this.run = run;
    this.machine = run.machine;
    this.node = run.machine.nodeOfCpu[id]!;
    this.cpuCount = run.machine.cpuCount;
    this.backedBytes = run.backedBytes;
    this.counters = new Array<number>(run.counterCount).fill(0);
    this.#streams = run.streams.map((name) => new RandomStream(run.seed, name, id));
  }

  nodeOfCpu(id: number): number {
    return this.machine.nodeOfCpu[id]!;
  }
  perCpuHi(id: number): number {
    return this.run.perCpuHi[id]!;
  }
  perCpuLo(id: number): number {
    return this.run.perCpuLo[id]!;
  }

  count(counter: number, amount: number): void {
    this.counters[counter]! += amount;
  }

  spend(cost: Cost): void {
    this.clock += this.machine.costsPs[cost]!;
  }
  spendMany(cost: Cost, count: number): void {
    this.clock += this.machine.costsPs[cost]! * count;
  }
  compute(ps: number): void {
    this.clock += ps;
  }

  begin(metric: number): void {
    assert(!this.#open.has(metric), 'a metric begins twice');
    this.#open.set(metric, this.clock);
  }
  end(metric: number): void {
    const start = this.#open.get(metric);
    assert(start !== undefined, 'a metric ends without a beginning');
    this.#open.delete(metric);
    this.record(metric, this.clock - start);
  }
  cancel(metric: number): void {
    this.#open.delete(metric);
  }
  protected record(metric: number, ps: number): void {
    this.recorded.push({ metric, node: this.node, phase: this.#phase, ps });
  }

  mark(): void {
    this.count(Counter.Marks, 1);
  }
  phase(index: number): void {
    this.#phase = index;
  }
  event(): void {}

  random(stream: number): number {
    return this.#streams[stream]!.uint32();
  }
  deadline(afterPs: number): number {
    return this.clock + afterPs;
  }
  expired(deadline: number): boolean {
    return this.clock >= deadline;
  }
}
