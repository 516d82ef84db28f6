/**
 * What the search remembers of each state along the current execution: who could go, who is to go
 * (backtrack set), and who need not (sleep set: everything that starts with that agent has been
 * explored). One row per position, one byte per agent.
 */

import type { Execution } from '../execution.ts';

export class Nodes {
  readonly agentCount: number;
  readonly #enabled: Uint8Array;
  readonly #kind: Uint8Array;
  readonly #backtrack: Uint8Array;
  readonly #sleep: Uint8Array;

  constructor(agentCount: number, capacity: number) {
    this.agentCount = agentCount;
    const bytes = (capacity + 2) * agentCount;
    this.#enabled = new Uint8Array(bytes);
    this.#kind = new Uint8Array(bytes);
    this.#backtrack = new Uint8Array(bytes);
    this.#sleep = new Uint8Array(bytes);
  }

  /** A new state; its sleep set was made with the step that led to it. */
  enter(position: number, execution: Execution): void {
    const from = position * this.agentCount;
    this.#enabled.fill(0, from, from + this.agentCount);
    this.#backtrack.fill(0, from, from + this.agentCount);
    for (let at = 0; at < execution.enabledCount; at++) {
      this.#enabled[from + execution.enabled[at]!] = 1;
    }
    this.#kind.set(execution.kind.subarray(0, this.agentCount), from);
  }

  isEnabled(position: number, agent: number): boolean {
    return this.#enabled[position * this.agentCount + agent] === 1;
  }

  kindOf(position: number, agent: number): number {
    return this.#kind[position * this.agentCount + agent]!;
  }

  isAsleep(position: number, agent: number): boolean {
    return this.#sleep[position * this.agentCount + agent] === 1;
  }

  setAsleep(position: number, agent: number, asleep: boolean): void {
    this.#sleep[position * this.agentCount + agent] = asleep ? 1 : 0;
  }

  clearSleep(position: number): void {
    const from = position * this.agentCount;
    this.#sleep.fill(0, from, from + this.agentCount);
  }

  isPlanned(position: number, agent: number): boolean {
    return this.#backtrack[position * this.agentCount + agent] === 1;
  }

  plan(position: number, agent: number): void {
    this.#backtrack[position * this.agentCount + agent] = 1;
  }

  /** An agent that is to go from here and has not gone; -1: none. */
  nextPlanned(position: number): number {
    const from = position * this.agentCount;
    for (let agent = 0; agent < this.agentCount; agent++) {
      if (this.#backtrack[from + agent] === 1 && this.#sleep[from + agent] === 0) return agent;
    }
    return -1;
  }

  /** Can the agent go from here, and need not be left out? */
  isAwake(position: number, agent: number): boolean {
    const at = position * this.agentCount + agent;
    return this.#enabled[at] === 1 && this.#sleep[at] === 0;
  }
}
