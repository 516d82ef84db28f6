/**
 * Races of a step with those before it, and what has to be tried to turn each of them round.
 *
 * Source: Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic partial order reduction", POPL 2014:
 * source-DPOR. For a race (e, e') let v be the steps after e that don't happen after e, then e'.
 * Some initial of v, an agent whose first step in v has nothing of v before it, must be tried from
 * the state before e.
 *
 * Deviation for steps that wait for a condition (Await, Idle, ...), after the idea of Jonsson,
 * Lang, Sagonas, "Awaiting for Godot", FMCAD 2022: the last write before an await may be the one
 * that lets it go, so it can't be turned round, and what matters is a race with an earlier one.
 * For them all earlier dependent steps count, backwards to the first from which the step is known
 * to be enabled; and a step that waits at the end of an execution races like one that was taken.
 * Too many tries cost executions that end blocked by sleep sets, never a trace counted twice.
 */

import { StepKind } from '../execution.ts';
import type { Nodes } from './nodes.ts';
import type { Trace } from './trace.ts';

export class Races {
  readonly #trace: Trace;
  readonly #nodes: Nodes;
  /** Clock of the racing step in v. */
  readonly #clock: Int32Array;
  /** By agent: sequence of its first step in v; 0: none. */
  readonly #first: Int32Array;
  readonly #initial: Uint8Array;

  constructor(trace: Trace, nodes: Nodes) {
    this.#trace = trace;
    this.#nodes = nodes;
    this.#clock = new Int32Array(trace.agentCount);
    this.#first = new Int32Array(trace.agentCount);
    this.#initial = new Uint8Array(trace.agentCount);
  }

  /** Finds the races of the begun step (trace.ts), plans their reversal, completes its clock. */
  plan(): void {
    const trace = this.#trace;
    const step = trace.length;
    const { base, reached } = trace;
    let open = isConditional(trace.kind[step]! as StepKind);
    for (let at = step - 1; at >= 0; at--) {
      if (trace.covers(base, at) || !trace.depends(at, step)) continue;
      const immediate = !trace.covers(reached, at);
      const races = (immediate || open) && !this.#waitsForDrain(at);
      if (races && this.#reverse(at)) open = false;
      if (immediate) trace.join(reached, at);
    }
  }

  /** Is it a step that waits for an empty store buffer, after a drain of that buffer? */
  #waitsForDrain(race: number): boolean {
    const trace = this.#trace;
    if (trace.kind[race] !== StepKind.Drain) return false;
    const kind = trace.kind[trace.length];
    const waits =
      kind === StepKind.Update ||
      kind === StepKind.Dsb ||
      kind === StepKind.Ipi ||
      kind === StepKind.Wake;
    return waits && trace.agent[race] === trace.agent[trace.length]! + trace.cpuCount;
  }

  /** Plans the reversal of one race; true: the racing step is known to be enabled before it. */
  #reverse(race: number): boolean {
    const trace = this.#trace;
    const nodes = this.#nodes;
    const step = trace.length;
    const agent = trace.agent[step]!;
    const wasPending = (trace.positions[agent]!.at(-1) ?? -1) < race;
    const wasEnabled = nodes.isEnabled(race, agent);
    const helped = this.#findInitials(race);
    const waited = wasPending && nodes.kindOf(race, agent) === trace.kind[step] && !wasEnabled;
    if (waited && !helped) return false;
    if (this.#first[agent] === 0 && wasEnabled && !this.#hasPredecessor(agent)) {
      this.#initial[agent] = 1;
    }
    const canGoBefore = wasPending && wasEnabled;
    let chosen = -1;
    for (let other = 0; other < trace.agentCount; other++) {
      if (this.#initial[other] === 0 || !nodes.isEnabled(race, other)) continue;
      if (nodes.isPlanned(race, other) || nodes.isAsleep(race, other)) return canGoBefore;
      if (chosen < 0 || other === agent) chosen = other;
    }
    if (chosen >= 0) nodes.plan(race, chosen);
    return canGoBefore;
  }

  /**
   * Agents whose first step in v comes after no other of v; the racing step itself is left out.
   * True: v has steps that the racing one depends on, so they may be what lets it go.
   */
  #findInitials(race: number): boolean {
    const trace = this.#trace;
    const step = trace.length;
    this.#first.fill(0);
    this.#initial.fill(0);
    this.#clock.set(trace.base);
    let helped = false;
    for (let at = race + 1; at < step; at++) {
      if (trace.precedes(race, at)) continue;
      const agent = trace.agent[at]!;
      if (this.#first[agent] === 0) {
        this.#initial[agent] = this.#followsFirst(at) ? 0 : 1;
        this.#first[agent] = trace.sequence[at]!;
      }
      if (agent === trace.agent[step] || !trace.depends(at, step)) continue;
      trace.join(this.#clock, at);
      helped = true;
    }
    return helped;
  }

  #followsFirst(position: number): boolean {
    for (let agent = 0; agent < this.#trace.agentCount; agent++) {
      const first = this.#first[agent]!;
      if (first > 0 && this.#trace.clock(position, agent) >= first) return true;
    }
    return false;
  }

  #hasPredecessor(own: number): boolean {
    for (let agent = 0; agent < this.#trace.agentCount; agent++) {
      const first = this.#first[agent]!;
      if (agent !== own && first > 0 && this.#clock[agent]! >= first) return true;
    }
    return false;
  }
}

/** Steps that can be pending and not enabled because of what others did. */
function isConditional(kind: StepKind): boolean {
  return (
    kind === StepKind.Await ||
    kind === StepKind.Idle ||
    kind === StepKind.Dsb ||
    kind === StepKind.Interrupt ||
    kind === StepKind.Deliver ||
    kind === StepKind.Other
  );
}
