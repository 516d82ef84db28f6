/** Promise: parts of a profile keep their phases, streams, memory and CPUs apart. */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { BootMemory } from '../../../src/memory/boot.ts';
import { PhysicalMemory } from '../../../src/memory/physical-memory.ts';
import { combineParts } from '../../../src/run/combined-workload.ts';
import type { ProfilePart } from '../../../src/run/task.ts';
import { phasesOf, type Workload } from '../../../workloads/workload.ts';
import { bootKernel } from '../../support/boot-kernel.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

const machine = makeTestMachine({ cpuCount: 4, nodeCount: 2 });

function* enters(cpu: Cpu, phase: number): Program {
  cpu.phase(phase);
  cpu.random(0);
  yield;
}

function part(label: string, cpus: readonly number[], phases: readonly string[]) {
  const workload: Workload = {
    name: `w-${label}`,
    description: label,
    source: '',
    parameters: [],
    kernelOptions: [],
    seedMoves: [],
    phases: phases.map((name) => ({ name })),
    streams: ['stream'],
    defaultMachine: 'test',
    defaultCpus: () => cpus.length,
    helperCpus: () => 0,
    runsOnX86: true,
    minimumCpus: 1,
    backedBytes: () => 4096,
    boot: (boot) => {
      boot.allocateNamed('word', 0, 64);
      for (let node = 0; node < machine.nodeCount; node++) boot.takeRest(node);
      return `${label}'s image`;
    },
    program: (cpu, image) => {
      expect(image).toBe(`${label}'s image`);
      return enters(cpu, phases.length - 1);
    },
  };
  const placement = { cpus, memoryPolicy: 'first-touch' as const, bindNode: 0 };
  const described: ProfilePart = {
    label,
    workload: { name: workload.name, url: '', parts: [] },
    context: { machine, placement, parameters: {}, seed: 0 },
    off: false,
  };
  return { workload, described };
}

const parts = [part('a', [0, 1], ['x', 'y']), part('b', [3], ['z'])];
const combined = combineParts(
  'both',
  parts.map(({ described }) => described),
  parts.map(({ workload }) => workload),
);
const placement = { cpus: [0, 1, 3], memoryPolicy: 'first-touch' as const, bindNode: 0 };
const context = { machine, placement, parameters: {}, seed: 9 };

function boot(): { readonly image: unknown; readonly memory: BootMemory } {
  const buffers = PhysicalMemory.allocate(machine.memoryBytesOfNode, 1 << 20);
  const memory = new BootMemory(machine, new PhysicalMemory(buffers));
  return { image: combined.boot(memory, context, bootKernel(memory)), memory };
}

describe('a combined workload', () => {
  it('lists phases and streams one part after the other', () => {
    expect(phasesOf(combined, context).map(({ name }) => name)).toEqual(['a:x', 'a:y', 'b:z']);
    expect(combined.streams).toEqual(['a:stream', 'b:stream']);
  });

  it('lets every part take the rest of its own share of memory', () => {
    const { memory } = boot();
    expect(memory.symbols.map(({ name }) => name)).toEqual(['a:word', 'b:word']);
    const [first, second] = memory.symbols.map(({ address }) => address.lo);
    expect(second! - first!).toBeGreaterThanOrEqual(1 << 18);
  });

  it('dispatches by CPU and shifts phase and stream numbers', () => {
    const { image } = boot();
    const seen: number[][] = [];
    const run = (id: number): void => {
      const calls: number[] = [];
      const cpu = {
        id,
        phase: (index: number) => calls.push(index),
        random: (stream: number) => calls.push(100 + stream),
      } as unknown as Cpu;
      const program = combined.program(cpu, image, context);
      if (program === null) return;
      const child = program.next().value as Program;
      child.next();
      seen.push([id, ...calls]);
    };
    for (const id of [0, 2, 3]) run(id);
    expect(seen).toEqual([
      [0, 0, 1, 100],
      [3, 2, 2, 101],
    ]);
  });
});
