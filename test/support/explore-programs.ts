/**
 * Small programs on the explore engine: named words on lines of their own, one program per CPU.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { PER_CPU_BYTES } from '../../src/cpu/per-cpu.ts';
import type { MemoryModel } from '../../src/engine/explore/execution.ts';
import { Explorer } from '../../src/engine/explore/explorer.ts';
import type { ExploreTranslation } from '../../src/engine/explore/mmu.ts';
import type { ScheduleResult } from '../../src/engine/explore/result.ts';
import { runSchedule } from '../../src/engine/explore/run-schedule.ts';
import { RandomWalk } from '../../src/engine/explore/strategies/random.ts';
import type { Features } from '../../src/machine/machine.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { makeTestMachine } from './test-machine.ts';

export type Words = Readonly<Record<string, Address>>;

export interface ProgramsOptions {
  readonly model?: MemoryModel;
  readonly stepLimit?: number;
  readonly words?: readonly string[];
  readonly backedBytes?: number;
  readonly translation?: ExploreTranslation;
  readonly features?: Partial<Features>;
  /** Words of declared text, each on a line of its own. */
  readonly text?: readonly string[];
  boot?(boot: BootMemory): void;
}

export interface OpenPrograms {
  readonly explorer: Explorer;
  readonly words: Words;
  /** Last value of a named word. */
  value(name: string): number;
}

export function openPrograms(
  programs: readonly ((cpu: Cpu, words: Words) => Program | null)[],
  options: ProgramsOptions = {},
): OpenPrograms {
  const cpuCount = programs.length;
  const machine = makeTestMachine({
    cpuCount,
    nodeCount: 1,
    ...(options.features === undefined ? {} : { features: options.features }),
  });
  const memory = new PhysicalMemory(
    PhysicalMemory.allocate(machine.memoryBytesOfNode, options.backedBytes ?? 1 << 18),
  );
  const boot = new BootMemory(machine, memory);
  const perCpu = machine.nodeOfCpu.length;
  const areas = Array.from({ length: perCpu }, (_, cpu) =>
    boot.allocateNamed(`cpu${cpu}`, 0, PER_CPU_BYTES, 4096),
  );
  const words: Record<string, Address> = {};
  for (const name of options.words ?? ['x', 'y', 'z']) {
    words[name] = toLinear(boot.allocateNamed(name, 0, 64));
  }
  for (const name of options.text ?? []) {
    words[name] = toLinear(boot.allocateText(name, 0, 64, 64));
  }
  options.boot?.(boot);
  const explorer = new Explorer(
    {
      machine,
      memory,
      symbols: boot.symbols,
      perCpu: areas,
      cpuCount,
      program: (cpu) => programs[cpu.id]!(cpu, words),
      ...(options.translation === undefined ? {} : { translation: options.translation }),
    },
    { model: options.model ?? 'sc', seed: 1, stepLimit: options.stepLimit ?? 2_000 },
  );
  const value = (name: string): number => {
    const { hi, lo } = words[name]!;
    return explorer.memory.peek32(hi & 0xffff, lo);
  };
  return { explorer, words, value };
}

/** Random schedules 0 ... count-1; `each` sees the state after each. */
export function runRandom(
  { explorer }: OpenPrograms,
  count: number,
  each: (result: ScheduleResult, schedule: number) => void,
): void {
  const strategy = new RandomWalk(1);
  for (let i = 0; i < count; i++) each(runSchedule(explorer, strategy, i), i);
}

/** The first of `count` random schedules that does not pass. */
export function firstFailure(open: OpenPrograms, count: number): ScheduleResult | null {
  const strategy = new RandomWalk(1);
  for (let i = 0; i < count; i++) {
    const result = runSchedule(open.explorer, strategy, i);
    if (result.outcome !== 'passed') return result;
  }
  return null;
}
