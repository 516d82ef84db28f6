/**
 * The steps of one execution with their happens-before: program order, dependence (execution.ts)
 * and FIFO order of store buffers. Clocks count the steps of each agent, so they are those of the
 * Mazurkiewicz trace and not of the interleaving: step e of agent a comes before step f exactly if
 * clock(f)[a] >= sequence(e).
 *
 * The row behind the last one (`length`) is scratch for a step that is about to be taken, or that
 * waits for ever: `begin` fills it, `commit` keeps it.
 */

import { type Execution, type StepColumns, StepKind, stepsDepend } from '../execution.ts';

/** Block of agents that drain store buffers (execution.ts). */
const DRAIN_BLOCK = 1;

export class Trace implements StepColumns {
  readonly agentCount: number;
  readonly cpuCount: number;
  readonly capacity: number;
  length = 0;
  readonly agent: Int32Array;
  readonly kind: Uint8Array;
  readonly hi: Int32Array;
  readonly lo: Int32Array;
  readonly bytes: Uint8Array;
  /** How many steps its agent has taken with it: from 1. */
  readonly sequence: Int32Array;
  /** Free choices made inside the step, and out of how many each; last row: before all steps. */
  readonly values: number[][];
  readonly valueCounts: number[][];
  /** By agent: positions of its steps. */
  readonly positions: number[][];
  /** Clock of the begun step from order that can't be reversed: program order, FIFO. */
  readonly base: Int32Array;
  /** Clock of the begun step. */
  readonly reached: Int32Array;
  readonly #clocks: Int32Array;
  /** By CPU: positions of stores that entered its buffer. */
  readonly #buffered: number[][];

  constructor(execution: Execution, capacity: number) {
    this.agentCount = execution.agentCount;
    this.cpuCount = execution.cpuCount;
    this.capacity = capacity;
    const rows = capacity + 1;
    this.agent = new Int32Array(rows);
    this.kind = new Uint8Array(rows);
    this.hi = new Int32Array(rows);
    this.lo = new Int32Array(rows);
    this.bytes = new Uint8Array(rows);
    this.sequence = new Int32Array(rows);
    this.values = Array.from({ length: rows }, () => []);
    this.valueCounts = Array.from({ length: rows }, () => []);
    this.positions = Array.from({ length: this.agentCount }, () => []);
    this.base = new Int32Array(this.agentCount);
    this.reached = new Int32Array(this.agentCount);
    this.#clocks = new Int32Array(rows * this.agentCount);
    this.#buffered = Array.from({ length: this.cpuCount }, () => []);
  }

  /** Fills the scratch row with the pending step of an agent. */
  begin(execution: Execution, agent: number): void {
    const row = this.length;
    this.agent[row] = agent;
    this.kind[row] = execution.kind[agent]!;
    this.hi[row] = execution.hi[agent]!;
    this.lo[row] = execution.lo[agent]!;
    this.bytes[row] = execution.bytes[agent]!;
    const own = this.positions[agent]!;
    this.sequence[row] = own.length + 1;
    this.base.fill(0);
    if (own.length > 0) this.join(this.base, own.at(-1)!);
    const block = Math.floor(agent / this.cpuCount);
    if (block === DRAIN_BLOCK && this.kind[row] === StepKind.Drain) {
      const entered = this.#buffered[agent % this.cpuCount]![own.length];
      if (entered !== undefined) this.join(this.base, entered);
    }
    this.reached.set(this.base);
  }

  /** Keeps the begun step, with the clock in `reached`. */
  commit(): void {
    const row = this.length++;
    const agent = this.agent[row]!;
    this.positions[agent]!.push(row);
    if (this.kind[row] === StepKind.Buffer) this.#buffered[agent % this.cpuCount]!.push(row);
    this.#clocks.set(this.reached, row * this.agentCount);
    this.#clocks[row * this.agentCount + agent] = this.sequence[row]!;
  }

  /** Takes the last step back; its row stays readable until the next `begin`. */
  pop(): void {
    const row = --this.length;
    const agent = this.agent[row]!;
    this.positions[agent]!.pop();
    if (this.kind[row] === StepKind.Buffer) this.#buffered[agent % this.cpuCount]!.pop();
  }

  clear(): void {
    while (this.length > 0) this.pop();
  }

  /** How many steps of a CPU's program put `count` + 1 stores into its buffer. */
  bufferedBy(cpu: number, count: number): number {
    const position = this.#buffered[cpu]![count];
    return position === undefined ? 0 : this.sequence[position]!;
  }

  clock(position: number, agent: number): number {
    return this.#clocks[position * this.agentCount + agent]!;
  }

  /** Does step `from` happen before step `to`, or is it that step? */
  precedes(from: number, to: number): boolean {
    return this.clock(to, this.agent[from]!) >= this.sequence[from]!;
  }

  covers(clock: Int32Array, position: number): boolean {
    return clock[this.agent[position]!]! >= this.sequence[position]!;
  }

  join(clock: Int32Array, position: number): void {
    const at = position * this.agentCount;
    for (let agent = 0; agent < this.agentCount; agent++) {
      const other = this.#clocks[at + agent]!;
      if (other > clock[agent]!) clock[agent] = other;
    }
  }

  depends(a: number, b: number): boolean {
    return stepsDepend(this, a, this.agent[a]!, this, b, this.agent[b]!, this.cpuCount);
  }

  /** Adds everything that the begun step depends on to its clock. */
  reach(): void {
    for (let at = this.length - 1; at >= 0; at--) {
      if (!this.covers(this.reached, at) && this.depends(at, this.length)) {
        this.join(this.reached, at);
      }
    }
  }
}
