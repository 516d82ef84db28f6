/**
 * One guess at the number of traces of a program: a walk down the tree of the search, many nodes
 * wide. The tree is that of sleep sets alone: each trace is one leaf that nobody cuts off
 * (Godefroid 1996, chapter 5), and what can go from a node is known without a look further down.
 *
 * Source: Knuth, "Estimating the efficiency of backtrack programs", Math. Comp. 29 (1975); with
 * whole levels instead of one path: Rubinstein, "Stochastic enumeration method for counting
 * NP-hard problems", Methodol. Comput. Appl. Probab. 15 (2013), used for traces in arXiv
 * 2512.23996. Of all children of a level at most `width` go on, drawn evenly, and each then stands
 * for as many more; right on average whatever the width, and exact where the tree is no wider.
 *
 * Deviations: steps that commute with all that others were seen to do (private-words.ts) are taken
 * at once, so levels are steps on shared words. When the steps are used up, a few of the nodes left
 * go down a path each, as in Knuth's, and one that ends asleep counts as one trace.
 */

import type { RandomStream } from '../../../base/random.ts';
import { dependent, type Execution } from '../execution.ts';
import type { PrivateWords } from './private-words.ts';
import type { MakeExecution } from './search.ts';

export interface PopulationOptions {
  readonly makeExecution: MakeExecution;
  readonly words: PrivateWords;
  readonly stream: RandomStream;
  readonly width: number;
  /** Steps of one execution; of all together. */
  readonly stepLimit: number;
  readonly budget: number;
  /** Asked before each node; false: enough. */
  goesOn?(): boolean;
}

export interface PopulationResult {
  readonly traces: number;
  /** No node was left out: the number, not a guess. */
  readonly isExact: boolean;
  /** Something went on when the steps were used up. */
  readonly isCut: boolean;
}

/** Paths from nodes that are left. */
const PATHS = 4;
/** More is no number: a loop that never ends branches in each round. */
const MOST = 1e100;

interface Node {
  readonly agents: readonly number[];
  /** Free choices in the order they were made. */
  readonly values: readonly number[];
  /** Agents that need not go. */
  readonly asleep: ReadonlySet<number>;
}

export function countByPopulation(options: PopulationOptions): PopulationResult {
  return new Population(options).run();
}

class Population {
  readonly #options: PopulationOptions;
  /** Still to be expanded on this level; free choices add to it. */
  #level: Node[] = [];
  #children: Node[] = [];
  #steps = 0;
  #isExact = true;
  #isCut = false;
  // The node that is expanded, as far as it has come.
  #agents: number[] = [];
  #values: number[] = [];
  #valueAt = 0;
  #asleep = new Set<number>();

  constructor(options: PopulationOptions) {
    this.#options = options;
  }

  run(): PopulationResult {
    const { width, budget } = this.#options;
    this.#level = [{ agents: [], values: [], asleep: new Set() }];
    let share = 1;
    let traces = 0;
    while (this.#level.length > 0) {
      for (let node = this.#level.pop(); node !== undefined; node = this.#level.pop()) {
        if (this.#steps >= budget || this.#options.goesOn?.() === false) {
          this.#isCut = true;
          this.#isExact = false;
          const left = [node, ...this.#level, ...this.#children];
          return { traces: traces + share * this.#descend(left), isExact: false, isCut: true };
        }
        if (this.#expand(node)) traces += share;
      }
      if (this.#children.length > width) {
        share *= this.#children.length / width;
        this.#isExact = false;
        this.#draw(width);
      }
      this.#level = this.#children;
      this.#children = [];
    }
    return { traces, isExact: this.#isExact, isCut: this.#isCut };
  }

  #cut(): true {
    this.#isCut = true;
    return true;
  }

  /** Runs to the node, then on while nothing is to be decided; true: to an end. */
  #expand(node: Node): boolean {
    this.#agents = [];
    this.#values = [...node.values];
    this.#valueAt = 0;
    this.#asleep = new Set(node.asleep);
    try {
      const execution = this.#options.makeExecution((count) => this.#choose(count));
      for (const agent of node.agents) this.#take(execution, agent);
      this.#skipPrivate(execution);
      if (execution.enabledCount === 0) return true;
      if (this.#agents.length >= this.#options.stepLimit) return this.#cut();
      this.#children.push(...this.#branch(execution));
      return false;
    } catch {
      // It breaks a rule: the search will say so.
      return true;
    }
  }

  #take(execution: Execution, agent: number): void {
    this.#steps++;
    this.#agents.push(agent);
    this.#options.words.see(execution, agent);
    execution.take(agent);
  }

  #skipPrivate(execution: Execution): void {
    const { words, stepLimit } = this.#options;
    const asleep = this.#asleep;
    while (this.#agents.length < stepLimit) {
      const able = execution.enabled.subarray(0, execution.enabledCount);
      const agent = able.find((each) => !asleep.has(each) && words.commutes(execution, each));
      if (agent === undefined) return;
      for (const other of asleep) if (dependent(execution, other, agent)) asleep.delete(other);
      this.#take(execution, agent);
    }
  }

  #branch(execution: Execution): Node[] {
    const children: Node[] = [];
    const known = new Set(this.#asleep);
    for (const agent of execution.enabled.subarray(0, execution.enabledCount)) {
      if (this.#asleep.has(agent)) continue;
      const asleep = new Set<number>();
      for (const other of known) if (!dependent(execution, other, agent)) asleep.add(other);
      children.push({ agents: [...this.#agents, agent], values: this.#values, asleep });
      known.add(agent);
    }
    return children;
  }

  /** Traces below all of the nodes, by a path from some of them. */
  #descend(left: readonly Node[]): number {
    let sum = 0;
    for (let path = 0; path < PATHS; path++) {
      const level = this.#level;
      const node = left[this.#options.stream.below(left.length)]!;
      this.#level = [];
      const goesOn = path === 0 || this.#options.goesOn?.() !== false;
      sum += goesOn ? this.#pathFrom(node) : 1;
      this.#level = level;
    }
    return (left.length * sum) / PATHS;
  }

  #pathFrom(node: Node): number {
    this.#agents = [];
    this.#values = [...node.values];
    this.#valueAt = 0;
    this.#asleep = new Set(node.asleep);
    let traces = 1;
    try {
      const execution = this.#options.makeExecution((count) => this.#choose(count));
      for (const agent of node.agents) this.#take(execution, agent);
      for (;;) {
        this.#skipPrivate(execution);
        const children = this.#branch(execution);
        if (children.length === 0 || this.#agents.length >= this.#options.stepLimit) break;
        traces *= children.length;
        const next = children[this.#options.stream.below(children.length)]!;
        this.#asleep = new Set(next.asleep);
        this.#take(execution, next.agents.at(-1)!);
      }
    } catch {
      // It breaks a rule: the search will say so.
    }
    return Math.min(traces, MOST);
  }

  /** The first time it is asked, the other values become nodes of the same level. */
  #choose(count: number): number {
    const at = this.#valueAt++;
    if (at === this.#values.length) {
      const agents = [...this.#agents];
      for (let value = 1; value < count; value++) {
        const values = [...this.#values, value];
        this.#level.push({ agents, values, asleep: new Set(this.#asleep) });
      }
      this.#values.push(0);
    }
    return this.#values[at]!;
  }

  /** Keeps `width` children, any of them as likely as any other. */
  #draw(width: number): void {
    const all = this.#children;
    for (let at = 0; at < width; at++) {
      const from = at + this.#options.stream.below(all.length - at);
      [all[at], all[from]] = [all[from]!, all[at]!];
    }
    all.length = width;
  }
}
