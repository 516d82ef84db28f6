/**
 * Mazurkiewicz traces by brute force: all interleavings of a small program, and which of them
 * become each other by exchanging two independent steps that follow each other. No clocks, no
 * races, no sleep sets: only the definition, and `dependent`.
 */

import { dependent, type Execution } from '../../src/engine/explore/execution.ts';

/** An interleaving: the agents, each with the free choices of its step, after those before all. */
interface Interleaving {
  readonly steps: readonly string[];
  /** By position: do it and the next step commute? */
  readonly commutes: readonly boolean[];
  readonly outcome: string;
}

interface Outcome extends Execution {
  readonly outcome: string;
}

export interface BruteForce {
  readonly interleavings: number;
  /** Traces: their number is that of classes. */
  readonly traces: number;
  readonly outcomes: ReadonlySet<string>;
  /** Classes of traces that are renamings of each other by permutations of the given CPUs. */
  upToRenaming(group: readonly number[]): number;
}

/** null: more interleavings than `most`. */
export function bruteForce(
  make: (choose: (count: number) => number) => Outcome,
  most: number,
): BruteForce | null {
  const all = enumerate(make, most);
  if (all === null) return null;
  const byKey = new Map(all.map((one, index) => [one.steps.join(), index]));
  const parents = all.map((_, index) => index);
  const find = (index: number): number => {
    while (parents[index] !== index) index = parents[index] = parents[parents[index]!]!;
    return index;
  };
  const join = (index: number, steps: readonly string[]): void => {
    const other = byKey.get(steps.join());
    if (other !== undefined) parents[find(index)] = find(other);
  };
  for (const [index, { steps, commutes }] of all.entries()) {
    for (const [at, commute] of commutes.entries()) {
      if (!commute) continue;
      const swapped = [...steps];
      [swapped[at], swapped[at + 1]] = [swapped[at + 1]!, swapped[at]!];
      join(index, swapped);
    }
  }
  const classes = (): number => parents.filter((_, index) => find(index) === index).length;
  const cpus = make(() => 0).cpuCount;
  return {
    interleavings: all.length,
    traces: classes(),
    outcomes: new Set(all.map(({ outcome }) => outcome)),
    upToRenaming: (group) => {
      for (const p of group) {
        for (const q of group) {
          for (const [index, { steps }] of all.entries()) join(index, swapCpus(steps, p, q, cpus));
        }
      }
      return classes();
    },
  };
}

function swapCpus(steps: readonly string[], p: number, q: number, cpus: number): string[] {
  return steps.map((step) => {
    const [agent, values] = step.split(':');
    if (agent === 'first') return step;
    const cpu = Number(agent) % cpus;
    const image = cpu === p ? q : cpu === q ? p : cpu;
    return `${Number(agent) - cpu + image}:${values}`;
  });
}

/** All interleavings, each by running from the start; null: more than `most`. */
function enumerate(
  make: (choose: (count: number) => number) => Outcome,
  most: number,
): Interleaving[] | null {
  const all: Interleaving[] = [];
  const path: { choice: number; count: number }[] = [];
  do {
    if (all.length === most) return null;
    let at = 0;
    const choose = (count: number): number => {
      if (at === path.length) path.push({ choice: 0, count });
      return path[at++]!.choice;
    };
    let values: number[] = [];
    const execution = make((count) => {
      values.push(choose(count));
      return values.at(-1)!;
    });
    const steps = [`first:${values.join('.')}`];
    const commutes: boolean[] = [];
    /** By agent: did its pending step commute with the last one, before that was taken? */
    let independent = Array.from({ length: execution.agentCount }, () => false);
    while (execution.enabledCount > 0) {
      const agent = execution.enabled[choose(execution.enabledCount)]!;
      commutes.push(independent[agent]!);
      independent = Array.from(
        { length: execution.agentCount },
        (_, other) => other !== agent && !dependent(execution, agent, other),
      );
      values = [];
      execution.take(agent);
      steps.push(`${agent}:${values.join('.')}`);
    }
    all.push({ steps, commutes, outcome: execution.outcome });
    while (path.length > 0 && path.at(-1)!.choice + 1 === path.at(-1)!.count) path.pop();
    if (path.length > 0) path.at(-1)!.choice++;
  } while (path.length > 0);
  return all;
}
