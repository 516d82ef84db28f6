/**
 * The standard litmus shapes on the explore engine: every outcome that a model allows, and no
 * other. Verdicts by hand from the models: sequential consistency (Lamport 1979) and x86-TSO
 * (Owens, Sarkar, Sewell, TPHOLs 2009); names as in the literature (SB = store buffering, ...).
 */

import { describe, expect, it } from 'vitest';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import { runLitmus } from '../../../support/litmus.ts';

interface Shape {
  readonly name: string;
  readonly programs: readonly string[];
  /** Words whose last value is part of the outcome. */
  readonly final?: readonly string[];
  /** Values that come into question, for all loads and all words left. */
  readonly values: string;
  /** Outcomes among them that no interleaving gives. */
  readonly sc: RegExp;
  /** Where it differs: the outcomes that x86-TSO forbids. */
  readonly tso?: RegExp;
}

const NONE = /^$/;
const SB = { values: '01', sc: /^0 0$/ };

const shapes: readonly Shape[] = [
  { name: 'SB', programs: ['x=1; r=y', 'y=1; r=x'], ...SB, tso: NONE },
  { name: 'SB+fence+po', programs: ['x=1; fence; r=y', 'y=1; r=x'], ...SB, tso: NONE },
  { name: 'SB+fences', programs: ['x=1; fence; r=y', 'y=1; fence; r=x'], ...SB },
  { name: 'SB+rmw+po', programs: ['x<-1; r=y', 'y=1; r=x'], ...SB, tso: NONE },
  { name: 'SB+rmws', programs: ['x<-1; r=y', 'y<-1; r=x'], ...SB },
  { name: 'SB+rmws elsewhere', programs: ['x=1; z<-1; r=y', 'y=1; z<-1; r=x'], ...SB },
  { name: 'SB+seq_cst stores', programs: ['x:=1; r=y', 'y:=1; r=x'], ...SB },
  {
    name: 'SB+own reads',
    programs: ['x=1; r=x; r=y', 'y=1; r=y; r=x'],
    values: '01',
    sc: /^0|^. . 0|1 0 1 0/,
    tso: /^0|^. . 0/,
  },
  {
    name: '3.SB',
    programs: ['x=1; r=y', 'y=1; r=z', 'z=1; r=x'],
    values: '01',
    sc: /0 0 0/,
    tso: NONE,
  },
  { name: 'MP', programs: ['x=1; y=1', 'r=y; r=x'], values: '01', sc: /1 0/ },
  { name: 'MP+await', programs: ['x=1; y=1', 'wait y=1; r=x'], values: '01', sc: /0/ },
  { name: 'LB', programs: ['r=x; y=1', 'r=y; x=1'], values: '01', sc: /1 1/ },
  { name: 'S', programs: ['x=2; y=1', 'r=y; x=1'], final: ['x'], values: '012', sc: /2;|; 0|1; 2/ },
  {
    name: 'R',
    programs: ['x=1; y=1', 'y=2; r=x'],
    final: ['y'],
    values: '012',
    sc: /2;|; 0|0; 2/,
    tso: /2;|; 0/,
  },
  {
    name: 'R+po+fence',
    programs: ['x=1; y=1', 'y=2; fence; r=x'],
    final: ['y'],
    values: '012',
    sc: /2;|; 0|0; 2/,
  },
  {
    name: 'R+fence+po',
    programs: ['x=1; fence; y=1', 'y=2; r=x'],
    final: ['y'],
    values: '012',
    sc: /2;|; 0|0; 2/,
    tso: /2;|; 0/,
  },
  { name: '2+2W', programs: ['x=1; y=2', 'y=1; x=2'], final: ['x', 'y'], values: '12', sc: /1 1/ },
  { name: 'WRC', programs: ['x=1', 'r=x; y=1', 'r=y; r=x'], values: '01', sc: /1 1 0/ },
  { name: 'ISA2', programs: ['x=1; y=1', 'r=y; z=1', 'r=z; r=x'], values: '01', sc: /1 1 0/ },
  { name: 'IRIW', programs: ['x=1', 'y=1', 'r=x; r=y', 'r=y; r=x'], values: '01', sc: /1 0 1 0/ },
  { name: 'RWC', programs: ['x=1', 'r=x; r=y', 'y=1; r=x'], values: '01', sc: /1 0 0/, tso: NONE },
  {
    name: 'RWC+fence',
    programs: ['x=1', 'r=x; r=y', 'y=1; fence; r=x'],
    values: '01',
    sc: /1 0 0/,
  },
  {
    name: 'W+RWC',
    programs: ['x=1; z=1', 'r=z; r=y', 'y=1; r=x'],
    values: '01',
    sc: /1 0 0/,
    tso: NONE,
  },
  {
    name: 'n6',
    programs: ['x=1; r=x; r=y', 'y=1; x=2'],
    final: ['x'],
    values: '012',
    sc: /^0|^. 2|; 0|2 0|2 1; 1|1 0; 1/,
    tso: /^0|^. 2|; 0|2 0|2 1; 1/,
  },
  { name: 'n4', programs: ['x=1; r=x', 'x=2; r=x'], values: '012', sc: /0|2 1/ },
  { name: 'CoRR', programs: ['x=1', 'r=x; r=x'], values: '01', sc: /1 0/ },
  {
    name: 'CoRR2',
    programs: ['x=1', 'x=2', 'r=x; r=x', 'r=x; r=x'],
    values: '012',
    sc: /[12] 0 . .|. . [12] 0|1 2 2 1|2 1 1 2/,
  },
  { name: 'CoWW', programs: ['x=1; x=2'], final: ['x'], values: '012', sc: /[01]/ },
  { name: 'CoWW seen', programs: ['x=1; x=2', 'r=x; r=x'], values: '012', sc: /[12] 0|2 1/ },
  { name: 'CoRW1', programs: ['r=x; x=1'], values: '01', sc: /1/ },
  { name: 'CoRW2', programs: ['r=x; x=1', 'x=2'], final: ['x'], values: '012', sc: /1;|; 0|2; 2/ },
  { name: 'CoWR0', programs: ['x=1; r=x'], values: '01', sc: /0/ },
  { name: 'CoWR', programs: ['x=1; r=x', 'x=2'], final: ['x'], values: '012', sc: /0|2; 1/ },
  {
    name: 'RMW+RMW',
    programs: ['x+=1', 'x+=1'],
    final: ['x'],
    values: '012',
    sc: /[^2]$|2.*;|0 0|1 1/,
  },
  {
    name: 'RMW+W',
    programs: ['x+=1', 'x=2'],
    final: ['x'],
    values: '0123',
    sc: /[13];|; 0|0; [13]|2; [12]/,
  },
];

/** All combinations of values, written as outcomes are. */
function universe({ programs, final = [], values }: Shape): string[] {
  const reads = programs.join(';').match(/r=|\+=/g)?.length ?? 0;
  let all: string[][] = [[]];
  for (let i = 0; i < reads + final.length; i++) {
    all = all.flatMap((some) => [...values].map((value) => [...some, value]));
  }
  return all.map((some) => {
    const [read, left] = [some.slice(0, reads).join(' '), some.slice(reads).join(' ')];
    return [read, left].filter((text) => text !== '').join('; ');
  });
}

function expectOutcomes(shape: Shape, model: MemoryModel, forbidden: RegExp): void {
  const { outcomes, search, failure } = runLitmus(shape.programs, model, shape.final);
  expect(failure).toBeNull();
  expect(search).toMatchObject({ outcome: 'complete', deadlocked: 0 });
  expect(outcomes).toEqual(universe(shape).filter((outcome) => !forbidden.test(outcome)));
}

describe('litmus shapes', () => {
  for (const shape of shapes) {
    it(`${shape.name} under sc`, () => expectOutcomes(shape, 'sc', shape.sc));
    it(`${shape.name} under tso`, () => expectOutcomes(shape, 'tso', shape.tso ?? shape.sc));
  }
});

describe('under tso, sequential consistency is restored', () => {
  it.each(shapes)('by fences between all instructions: $name', (shape) => {
    const programs = shape.programs.map((program) => program.replaceAll(';', '; fence;'));
    expectOutcomes({ ...shape, programs }, 'tso', shape.sc);
  });

  it.each(shapes)('by swaps instead of stores: $name', (shape) => {
    const programs = shape.programs.map((program) =>
      program.replaceAll(/(^|; )([xyz]):?=/g, '$1$2<-'),
    );
    expectOutcomes({ ...shape, programs }, 'tso', shape.sc);
  });
});

describe('executions', () => {
  it('are as many as there are traces', () => {
    const count = (programs: readonly string[], model: MemoryModel): number =>
      runLitmus(programs, model).search.completed;
    expect(count(['x=1; r=y', 'y=1; r=x'], 'sc')).toBe(3);
    expect(count(['x=1; r=y', 'y=1; r=x'], 'tso')).toBe(4);
    expect(count(['x=1', 'y=1', 'r=x; r=y', 'r=y; r=x'], 'sc')).toBe(15);
    expect(count(['x=1', 'y=1', 'r=x; r=y', 'r=y; r=x'], 'tso')).toBe(15);
  });

  it('that wait for ever are findings', () => {
    const { failure, search } = runLitmus(['x=1', 'wait x=2'], 'tso');
    expect(search.outcome).toBe('failed');
    expect(failure?.finding?.oracle).toBe('deadlock');
  });
});
