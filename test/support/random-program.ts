/**
 * A random program: a machine, its memory, and for every CPU a list of steps, all from one seed,
 * so that any thread can build the same. The first active CPU stays awake until all others are
 * done and wakes whoever sleeps, so programs end (unless an engine loses something).
 */

import { RandomStream } from '../../src/base/random.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Condition, Level, Order } from '../../src/cpu/operations.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { RandomImage } from './random-program-memory.ts';
import {
  ACTIONS,
  type Scene,
  STEP_KINDS,
  type Step,
  type StepKind,
} from './random-program-steps.ts';
import { makeGuestHandler, makeHostHandler } from './random-program-tables.ts';
import { type MachineLimits, randomMachine } from './virtual-machines.ts';

/** Plain data: names a program, and parts of it left out by a search for the cause of a failure. */
export interface RandomCase {
  readonly seed: number;
  readonly steps: number;
  /** Only steps of these kinds; empty = all. */
  readonly only: readonly StepKind[];
  /** Steps of these kinds are left out. */
  readonly without: readonly StepKind[];
  readonly limits?: MachineLimits;
  /** How the program is to end; default: finished. */
  readonly ending?: 'finished' | 'deadlock' | 'no-progress';
}

export function randomCase(seed: number, options: Partial<RandomCase> = {}): RandomCase {
  return { seed, steps: 40, only: [], without: [], ...options };
}

export function machineOf(theCase: RandomCase): Machine {
  return randomMachine(theCase.seed, theCase.limits);
}

/** All CPUs of most machines, some missing in others. */
export function activeCpusOf(theCase: RandomCase, machine: Machine): number[] {
  const stream = new RandomStream(theCase.seed, 'placement', 0);
  const all = Array.from({ length: machine.cpuCount }, (_, cpu) => cpu);
  if (stream.below(3) > 0) return all;
  const some = all.filter(() => stream.below(4) > 0);
  return some.length >= 2 ? some : all;
}

/** A few kinds dominate each program: rare combinations come up in some seed. */
export function stepsOf(theCase: RandomCase, cpu: number): Step[] {
  const taste = new RandomStream(theCase.seed, 'taste', 0);
  const known = theCase.only.length > 0 ? theCase.only : STEP_KINDS;
  const allowed = known.filter((kind) => !theCase.without.includes(kind));
  const favourites = Array.from({ length: 4 }, () => allowed[taste.below(allowed.length)]!);
  const variety = taste.below(10);
  const stream = new RandomStream(theCase.seed, 'steps', cpu);
  return Array.from({ length: theCase.steps }, () => {
    const list = stream.below(10) < variety ? allowed : favourites;
    const kind = list[stream.below(list.length)]!;
    return { kind, a: stream.uint32() >>> 4, b: stream.uint32() >>> 4, c: stream.uint32() >>> 4 };
  });
}

export const STREAMS = ['think'];

export function programOf(
  theCase: RandomCase,
  machine: Machine,
  image: RandomImage,
): (cpu: Cpu) => Program {
  const activeCpus = activeCpusOf(theCase, machine);
  const scene: Scene = { machine, image, activeCpus };
  return (cpu) => run(cpu, scene, theCase);
}

function* run(cpu: Cpu, scene: Scene, theCase: RandomCase): Program {
  const { image, activeCpus } = scene;
  cpu.setVector(Level.Host, makeHostHandler(image, 2 + (theCase.seed % 5)));
  cpu.setVector(Level.El2, makeGuestHandler(image.guest));
  for (const vector of [0, 1, 2]) cpu.setInterrupt(vector, makeInterrupt(scene, vector));
  for (const step of stepsOf(theCase, cpu.id)) {
    const action = ACTIONS[step.kind](cpu, scene, step);
    // Both ways to call a program must mean the same.
    if (step.a % 2 === 0) yield action;
    else yield* action;
  }
  const { hi, lo } = image.doneCount;
  while (!cpu.add32(hi, lo, 1, Order.Release)) yield;
  if (cpu.id !== activeCpus[0]) return;
  if (theCase.ending === 'deadlock') {
    // Nobody wakes the sleepers, and this CPU waits for what never comes.
    while (!cpu.cond32(hi, lo, Condition.Equal, -1, -1, Order.Acquire)) yield;
  }
  if (theCase.ending === 'no-progress') {
    for (;;) while (!cpu.load32(hi, lo, Order.Acquire)) yield;
  }
  for (;;) {
    const deadline = cpu.deadline(2_000_000);
    const kind = Condition.AtLeastWrapping;
    while (!cpu.cond32Until(hi, lo, kind, -1, activeCpus.length, deadline, Order.Acquire)) yield;
    if (cpu.ok) return;
    for (const other of activeCpus) while (!cpu.wake(other)) yield;
  }
}

function makeInterrupt({ image }: Scene, vector: number): (cpu: Cpu) => Program {
  const word = image.words[vector]!;
  return function* handler(cpu: Cpu): Program {
    if (vector === 1) cpu.compute(7_777);
    if (vector === 2) {
      const { hi, lo } = image.userPages[0]!;
      while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
      return;
    }
    while (!cpu.add32(word.hi, word.lo, 1, Order.Relaxed)) yield;
  };
}
