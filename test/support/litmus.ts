/**
 * Litmus tests: a few instructions per CPU on words x, y, z that start as 0, written like
 * "x=1; fence; r=y". Runs them exhaustively on the explore engine and gives every outcome: what the
 * loads read in the order of CPUs and instructions, then (after ";") the words left behind, if the
 * test asks for them.
 *
 *     x=1      store            r=x       load
 *     x+=1     fetch-and-add, its result counts as a load; fences on both sides as on x86
 *     x<-1     swap, result unused         fence     full barrier
 *     x:=1     store, sequentially consistent
 *     wait x=1 conditional load
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Condition, Fence, Order } from '../../src/cpu/operations.ts';
import type { MemoryModel } from '../../src/engine/explore/execution.ts';
import {
  type ExhaustiveResult,
  runExhaustive,
} from '../../src/engine/explore/exhaustive/run-exhaustive.ts';
import { Explorer } from '../../src/engine/explore/explorer.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { makeTestMachine } from './test-machine.ts';

const LINE_BYTES = 64;
const WORDS = ['x', 'y', 'z'] as const;

export interface LitmusResult extends ExhaustiveResult {
  readonly outcomes: readonly string[];
}

export function runLitmus(
  programs: readonly string[],
  model: MemoryModel,
  final: readonly string[] = [],
): LitmusResult {
  const machine = makeTestMachine({ cpuCount: Math.max(programs.length, 2) });
  const memory = new PhysicalMemory(
    PhysicalMemory.allocate(machine.memoryBytesOfNode, 1024 * 1024),
  );
  const boot = new BootMemory(machine, memory);
  const lines = boot.allocateNamed('words', 0, WORDS.length * LINE_BYTES, LINE_BYTES);
  const addressOf = (name: string): Address => {
    const { hi, lo } = lines;
    return { hi, lo: lo + WORDS.indexOf(name as (typeof WORDS)[number]) * LINE_BYTES };
  };
  const reads: number[][] = programs.map(() => []);
  const outcomes = new Set<string>();
  const explorer: Explorer = new Explorer(
    {
      machine,
      memory,
      symbols: boot.symbols,
      perCpu: machine.nodeOfCpu.reduce<Address[]>((all) => [...all, lines], []),
      cpuCount: programs.length,
      program: (cpu) => {
        const own = reads[cpu.id]!;
        own.length = 0;
        return program(cpu, programs[cpu.id]!.split(';'), addressOf, own);
      },
      finish: () => {
        const left = final.map((name) => {
          const { hi, lo } = addressOf(name);
          return explorer.memory.peek32(hi, lo);
        });
        const read = reads.flat().join(' ');
        outcomes.add(final.length === 0 ? read : `${read}; ${left.join(' ')}`.replace(/^; /, ''));
      },
    },
    { model, seed: 1, stepLimit: 100 },
  );
  const result = runExhaustive(explorer, { executionLimit: 1e6 });
  return { ...result, outcomes: [...outcomes].sort() };
}

function* program(
  cpu: Cpu,
  steps: readonly string[],
  addressOf: (name: string) => Address,
  reads: number[],
): Program {
  for (const step of steps) {
    const text = step.trim();
    if (text === 'fence') {
      while (!cpu.fence(Fence.DmbIsh)) yield;
      continue;
    }
    const load = /^r=(\w)$/.exec(text);
    const [, wait, name, operator, value] = /^(wait )?(\w)(=|:=|\+=|<-)(\d)$/.exec(text) ?? [];
    const { hi, lo } = toLinear(addressOf(load?.[1] ?? name!));
    if (load !== null) {
      while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
      reads.push(cpu.lo);
    } else if (wait !== undefined) {
      while (!cpu.cond32(hi, lo, Condition.Equal, -1, Number(value), Order.Relaxed)) yield;
    } else if (operator === '=' || operator === ':=') {
      const order = operator === '=' ? Order.Relaxed : Order.SequentiallyConsistent;
      while (!cpu.store32(hi, lo, Number(value), order)) yield;
    } else if (operator === '<-') {
      while (!cpu.swap32(hi, lo, Number(value), Order.AcquireRelease)) yield;
    } else {
      while (!cpu.add32(hi, lo, Number(value), Order.AcquireRelease)) yield;
      reads.push(cpu.lo);
    }
  }
}
