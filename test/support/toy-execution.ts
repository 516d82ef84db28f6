/**
 * Straight-line programs on a few words under a scheduler: the smallest thing that is an Execution,
 * sequentially consistent or with store buffers (x86-TSO: FIFO per CPU, loads take the newest own
 * entry, updates and fences wait for an empty buffer). A reference for what searches explore, and
 * for what the explore engine's memory models allow.
 */

import { type Execution, type MemoryModel, StepKind } from '../../src/engine/explore/execution.ts';

export type ToyStep =
  | { readonly op: 'read' | 'fence'; readonly word: number }
  | { readonly op: 'write'; readonly word: number; readonly value: number }
  /** Adds; result: the old value. */
  | { readonly op: 'update'; readonly word: number; readonly value: number }
  /** Waits until the word has the value. */
  | { readonly op: 'await'; readonly word: number; readonly value: number }
  /** Chooses a number below the value; the choice is a result. */
  | { readonly op: 'choose'; readonly value: number };

export type ToyProgram = readonly (readonly ToyStep[])[];

const WORDS = 4;

export class ToyExecution implements Execution {
  readonly agentCount: number;
  readonly cpuCount: number;
  readonly kind: Uint8Array;
  readonly hi: Int32Array;
  readonly lo: Int32Array;
  readonly bytes: Uint8Array;
  readonly enabled: Int32Array;
  enabledCount = 0;
  stepCount = 0;
  readonly memory = new Int32Array(WORDS);
  /** By CPU: what its reads, updates and choices gave. */
  readonly results: number[][];
  readonly #program: ToyProgram;
  readonly #tso: boolean;
  readonly #choose: (count: number) => number;
  readonly #next: Int32Array;
  readonly #buffers: { word: number; value: number }[][];

  constructor(program: ToyProgram, model: MemoryModel, choose: (count: number) => number) {
    this.#program = program;
    this.#tso = model === 'tso';
    this.#choose = choose;
    this.cpuCount = program.length;
    this.agentCount = 5 * program.length;
    this.kind = new Uint8Array(this.agentCount);
    this.hi = new Int32Array(this.agentCount);
    this.lo = new Int32Array(this.agentCount);
    this.bytes = new Uint8Array(this.agentCount);
    this.enabled = new Int32Array(this.agentCount);
    this.results = program.map(() => []);
    this.#next = new Int32Array(program.length);
    this.#buffers = program.map(() => []);
    // What comes before the first step of a CPU is on no scheduler's map.
    for (const [cpu, steps] of program.entries()) {
      while (steps[this.#next[cpu]!]?.op === 'choose')
        this.#perform(cpu, steps[this.#next[cpu]!++]!);
    }
    this.#announce();
  }

  /** Results of all CPUs, then memory. */
  get outcome(): string {
    const results = this.results.map((values) => values.join(' '));
    return `${results.join(' | ')} ; ${this.memory.join(' ')}`;
  }

  take(agent: number): void {
    this.stepCount++;
    if (agent < this.cpuCount) {
      this.#perform(agent, this.#program[agent]![this.#next[agent]!++]!);
    } else {
      const { word, value } = this.#buffers[agent - this.cpuCount]!.shift()!;
      this.memory[word] = value;
    }
    this.#announce();
  }

  #perform(cpu: number, step: ToyStep): void {
    const results = this.results[cpu]!;
    if (step.op === 'read') results.push(this.#load(cpu, step.word));
    else if (step.op === 'choose') results.push(this.#choose(step.value));
    else if (step.op === 'update') {
      results.push(this.memory[step.word]!);
      this.memory[step.word]! += step.value;
    } else if (step.op === 'write') {
      if (this.#tso) this.#buffers[cpu]!.push({ word: step.word, value: step.value });
      else this.memory[step.word] = step.value;
    }
  }

  #load(cpu: number, word: number): number {
    const own = this.#buffers[cpu]!.findLast((entry) => entry.word === word);
    return own?.value ?? this.memory[word]!;
  }

  /** Pending steps and who can go. */
  #announce(): void {
    this.enabledCount = 0;
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      const step = this.#program[cpu]![this.#next[cpu]!];
      this.#set(cpu, step === undefined ? StepKind.None : this.#kindOf(step), wordOf(step));
      if (step !== undefined && this.#canGo(cpu, step)) this.enabled[this.enabledCount++] = cpu;
    }
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      const oldest = this.#buffers[cpu]![0];
      const kind = oldest === undefined ? StepKind.None : StepKind.Drain;
      this.#set(this.cpuCount + cpu, kind, oldest?.word ?? 0);
      if (oldest !== undefined) this.enabled[this.enabledCount++] = this.cpuCount + cpu;
    }
  }

  #set(agent: number, kind: StepKind, word: number): void {
    this.kind[agent] = kind;
    this.lo[agent] = word * 4;
    this.bytes[agent] = kind === StepKind.Expire ? 0 : 4;
  }

  #kindOf(step: ToyStep): StepKind {
    if (step.op === 'write') return this.#tso ? StepKind.Buffer : StepKind.Write;
    return KINDS[step.op];
  }

  #canGo(cpu: number, step: ToyStep): boolean {
    if (step.op === 'await') return this.#load(cpu, step.word) === step.value;
    const waits = step.op === 'update' || step.op === 'fence';
    return !waits || this.#buffers[cpu]!.length === 0;
  }
}

const KINDS = {
  read: StepKind.Read,
  update: StepKind.Update,
  fence: StepKind.Fence,
  await: StepKind.Await,
  choose: StepKind.Expire,
} as const;

function wordOf(step: ToyStep | undefined): number {
  return step === undefined || step.op === 'choose' ? 0 : step.word;
}
