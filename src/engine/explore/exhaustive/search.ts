/**
 * Exhaustive search: every execution of a program up to exchanging independent steps that follow
 * each other (Mazurkiewicz traces). Source-DPOR with sleep sets (races.ts), stateless: to go back
 * is to run again from the start.
 *
 * Sleep sets see to it that no trace is completed twice: `completed` + `deadlocked` is the number
 * of traces. An execution in which whoever can go is asleep leads to known traces only: it is cut
 * off and counted apart. A step with free choices inside (a deadline that passes or doesn't) is
 * taken once with each; traces with different choices are different.
 */

import { assert } from '../../../base/assert.ts';
import { dependent, type Execution, StepKind } from '../execution.ts';
import { Nodes } from './nodes.ts';
import { Races } from './races.ts';
import { type Interchangeable, Symmetry } from './symmetry.ts';
import { Trace } from './trace.ts';

/** Chooses a number below `count` inside a step. */
export type ValueChooser = (count: number) => number;

/** The same program from its start; everything it is free to choose has to come from `choose`. */
export type MakeExecution = (choose: ValueChooser) => Execution;

export type Ending = 'completed' | 'deadlocked';

export interface SearchOptions {
  readonly makeExecution: MakeExecution;
  /** Steps after which an execution is cut off. */
  readonly stepLimit: number;
  /** Executions after which the search ends. */
  readonly executionLimit: number;
  /**
   * CPUs whose change of places makes an execution of an execution, or two of them would be taken
   * for one that are not. Absent: none.
   */
  readonly symmetric?: Interchangeable;
  /** Keys of each trace that ended: its own, then those of its renamings (symmetry.ts). */
  traced?(keys: readonly number[]): void;
  /** Looks at an execution that can't go on; may throw what it finds. */
  ended?(execution: Execution, ending: Ending): void;
  /** Asked before each execution: the time is up. */
  expired?(): boolean;
}

/** The choices that lead to a failure, step by step. */
export interface Schedule {
  /** Free choices on the programs' way to their first steps. */
  readonly firstValues: readonly number[];
  readonly agents: readonly number[];
  /** Free choices inside each step. */
  readonly values: readonly (readonly number[])[];
}

/** 'complete': every trace was explored; 'failed': one broke a rule; else the bound reached. */
export type SearchOutcome = 'complete' | 'failed' | 'executions' | 'steps' | 'time';

export interface SearchResult {
  readonly outcome: SearchOutcome;
  /** Traces that ended with every program. */
  readonly completed: number;
  /** Traces in which a program waits for ever. */
  readonly deadlocked: number;
  /** Executions cut off because everything they lead to was known. */
  readonly sleepBlocked: number;
  /** Executions that were renamings of earlier ones (symmetry). */
  readonly renamed: number;
  /** Executions cut off at the step limit. */
  readonly cut: number;
  /** Steps of all executions, those run again included. */
  readonly steps: number;
  readonly failure: { readonly error: unknown; readonly schedule: Schedule } | null;
}

export function searchExhaustively(options: SearchOptions): SearchResult {
  return new Search(options).run();
}

type Counts = { -readonly [K in keyof SearchResult]: SearchResult[K] };

/** A rule of the program broke, not one of the search. */
class Broken extends Error {
  readonly found: unknown;

  constructor(found: unknown) {
    super('a step or an end of the explored program failed');
    this.found = found;
  }
}

class Search {
  readonly #options: SearchOptions;
  readonly #trace: Trace;
  readonly #nodes: Nodes;
  readonly #races: Races;
  readonly #symmetry: Symmetry;
  readonly #choose: ValueChooser;
  readonly #result: Counts = {
    outcome: 'complete',
    completed: 0,
    deadlocked: 0,
    sleepBlocked: 0,
    renamed: 0,
    cut: 0,
    steps: 0,
    failure: null,
  };
  /** Rows of the trace to take again, the last of them perhaps for the first time. */
  #fixed = 0;
  /** Row of the step that is being taken; the last row: the programs' way to their first steps. */
  #taking: number;
  /** Free choices made so far in it. */
  #valueAt = 0;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#choose = (count) => this.#chooseValue(count);
    const execution = options.makeExecution(() => 0);
    this.#taking = options.stepLimit;
    this.#trace = new Trace(execution, options.stepLimit);
    this.#nodes = new Nodes(execution.agentCount, options.stepLimit);
    this.#races = new Races(this.#trace, this.#nodes);
    this.#symmetry = new Symmetry(this.#trace, options.symmetric ?? { groups: [] });
  }

  run(): SearchResult {
    const result = this.#result;
    for (let executions = 0; ; executions++) {
      if (executions === this.#options.executionLimit) return { ...result, outcome: 'executions' };
      if (this.#options.expired?.()) return { ...result, outcome: 'time' };
      try {
        this.#execute();
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        const failure = { error: error.found, schedule: this.#schedule() };
        return { ...result, outcome: 'failed', failure };
      }
      if (!this.#goBack()) break;
    }
    return { ...result, outcome: result.cut > 0 ? 'steps' : 'complete' };
  }

  /** One execution: the fixed choices, then on until nothing new can come. */
  #execute(): void {
    const execution = this.#make();
    const trace = this.#trace;
    const nodes = this.#nodes;
    const fixed = this.#fixed;
    for (let position = 0; position < fixed - 1; position++) this.#repeat(execution, position);
    for (let position = Math.max(fixed - 1, 0); ; position++) {
      if (position >= fixed) nodes.enter(position, execution);
      if (execution.enabledCount === 0) {
        this.#end(execution);
        return;
      }
      if (position === this.#options.stepLimit) {
        this.#racePending(execution, true);
        this.#result.cut++;
        return;
      }
      const agent = position < fixed ? trace.agent[position]! : this.#chooseAwake(position);
      if (agent < 0) {
        this.#racePending(execution, false);
        this.#result.sleepBlocked++;
        return;
      }
      nodes.plan(position, agent);
      trace.begin(execution, agent);
      this.#races.plan();
      if (position >= fixed) this.#forgetValues(position);
      trace.commit();
      this.#fallAsleep(execution, position, agent);
      this.#take(execution, position);
    }
  }

  /**
   * Of those that can go and need not be left out, the one that has waited longest, or loops that
   * wait for another CPU by reading over and over would all run into the step limit; -1: none.
   */
  #chooseAwake(position: number): number {
    const { positions, agentCount } = this.#trace;
    let chosen = -1;
    let oldest = position;
    for (let agent = 0; agent < agentCount; agent++) {
      if (!this.#nodes.isAwake(position, agent)) continue;
      const last = positions[agent]!.at(-1) ?? -1;
      if (last >= oldest) continue;
      chosen = agent;
      oldest = last;
    }
    return chosen;
  }

  #make(): Execution {
    this.#taking = this.#options.stepLimit;
    this.#valueAt = 0;
    try {
      return this.#options.makeExecution(this.#choose);
    } catch (error) {
      throw new Broken(error);
    }
  }

  /** Takes a step of the known beginning again. */
  #repeat(execution: Execution, position: number): void {
    const trace = this.#trace;
    const agent = trace.agent[position]!;
    const same =
      execution.kind[agent] === trace.kind[position] &&
      execution.hi[agent] === trace.hi[position] &&
      execution.lo[agent] === trace.lo[position];
    assert(same, 'an execution run again does the same: programs choose nothing on their own');
    this.#take(execution, position);
  }

  #take(execution: Execution, position: number): void {
    this.#taking = position;
    this.#valueAt = 0;
    this.#result.steps++;
    try {
      execution.take(this.#trace.agent[position]!);
    } catch (error) {
      throw new Broken(error);
    }
  }

  /** Who need not go after the step: those asleep that it doesn't disturb. */
  #fallAsleep(execution: Execution, position: number, agent: number): void {
    const nodes = this.#nodes;
    for (let other = 0; other < nodes.agentCount; other++) {
      const stays =
        other !== agent && nodes.isAsleep(position, other) && !dependent(execution, other, agent);
      nodes.setAsleep(position + 1, other, stays);
    }
  }

  /**
   * Steps that wait where nobody goes on: they could have been taken before what they race with.
   * Also where others only sleep: the known traces that would follow were turned round elsewhere.
   * At the step limit those that could go, too: a spinning CPU may never have let them.
   */
  #racePending(execution: Execution, enabledToo: boolean): void {
    const trace = this.#trace;
    for (let agent = 0; agent < trace.agentCount; agent++) {
      if (execution.kind[agent] === StepKind.None) continue;
      if (!enabledToo && this.#nodes.isEnabled(trace.length, agent)) continue;
      trace.begin(execution, agent);
      this.#races.plan();
    }
  }

  #end(execution: Execution): void {
    this.#racePending(execution, false);
    const programs = execution.kind.subarray(0, execution.cpuCount);
    const ending = programs.every((kind) => kind === StepKind.None) ? 'completed' : 'deadlocked';
    if (this.#options.traced !== undefined) this.#options.traced(this.#symmetry.keys());
    if (!this.#symmetry.isNew()) {
      this.#result.renamed++;
      return;
    }
    try {
      this.#options.ended?.(execution, ending);
    } catch (error) {
      throw new Broken(error);
    }
    this.#result[ending]++;
  }

  /** To the last state that has an agent or a free choice left; false: none has. */
  #goBack(): boolean {
    const trace = this.#trace;
    const nodes = this.#nodes;
    while (trace.length > 0) {
      const position = trace.length - 1;
      trace.pop();
      this.#fixed = position + 1;
      if (this.#nextValue(position)) return true;
      const agent = trace.agent[position]!;
      nodes.setAsleep(position, agent, true);
      this.#symmetry.forEachImage(agent, (image) => nodes.setAsleep(position, image, true));
      const next = nodes.nextPlanned(position);
      if (next < 0) continue;
      trace.agent[position] = next;
      this.#forgetValues(position);
      return true;
    }
    this.#fixed = 0;
    nodes.clearSleep(0);
    return this.#nextValue(this.#options.stepLimit);
  }

  #chooseValue(count: number): number {
    const values = this.#trace.values[this.#taking]!;
    const at = this.#valueAt++;
    if (at === values.length) {
      values.push(0);
      this.#trace.valueCounts[this.#taking]!.push(count);
    }
    return values[at]!;
  }

  /** The next combination of free choices of a step; false: there is none. */
  #nextValue(position: number): boolean {
    const values = this.#trace.values[position]!;
    const counts = this.#trace.valueCounts[position]!;
    while (values.length > 0) {
      const value = values.pop()! + 1;
      const count = counts.pop()!;
      if (value === count) continue;
      values.push(value);
      counts.push(count);
      return true;
    }
    return false;
  }

  #forgetValues(position: number): void {
    this.#trace.values[position] = [];
    this.#trace.valueCounts[position] = [];
  }

  #schedule(): Schedule {
    const trace = this.#trace;
    return {
      firstValues: [...trace.values[this.#options.stepLimit]!],
      agents: Array.from(trace.agent.subarray(0, trace.length)),
      values: trace.values.slice(0, trace.length).map((values) => [...values]),
    };
  }
}
