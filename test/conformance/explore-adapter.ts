/** The explore engine under the conformance suite: one random schedule per run, sc or tso. */

import { PER_CPU_BYTES } from '../../src/cpu/per-cpu.ts';
import type { MemoryModel } from '../../src/engine/explore/execution.ts';
import { Explorer } from '../../src/engine/explore/explorer.ts';
import { runSchedule } from '../../src/engine/explore/run-schedule.ts';
import { RandomWalk } from '../../src/engine/explore/strategies/random.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { makeTestMachine } from '../support/test-machine.ts';
import type { ConformanceEngine, ConformanceOutcome } from './engine.ts';
import { scenarioByName } from './scenario-table.ts';

const BACKED_BYTES = 1 << 20;
const STEP_LIMIT = 2_000_000;

export function exploreConformance(model: MemoryModel): ConformanceEngine {
  return {
    name: `explore (${model})`,
    run(name, parameters, seed): ConformanceOutcome {
      const scenario = scenarioByName(name);
      const { cpuCount } = parameters;
      const machine = makeTestMachine({ cpuCount, nodeCount: Math.min(2, cpuCount) });
      const memory = new PhysicalMemory(
        PhysicalMemory.allocate(machine.memoryBytesOfNode, BACKED_BYTES),
      );
      const boot = new BootMemory(machine, memory);
      const perCpu = Array.from({ length: cpuCount }, (_, cpu) =>
        boot.allocateNamed(`cpu${cpu}`, machine.nodeOfCpu[cpu]!, PER_CPU_BYTES, 4096),
      );
      const image = scenario.boot(boot, parameters);
      const explorer = new Explorer(
        {
          machine,
          memory,
          symbols: boot.symbols,
          perCpu,
          cpuCount,
          program: (cpu) => scenario.program(cpu, image, parameters),
        },
        { model, seed, stepLimit: STEP_LIMIT },
      );
      const result = runSchedule(explorer, new RandomWalk(seed), 0);
      if (result.outcome !== 'passed') {
        throw new Error(`${result.outcome}: ${result.finding?.text ?? ''}`);
      }
      return {
        image,
        word: (index) => {
          const { hi, lo } = image.words[index]!;
          return explorer.memory.peek32(hi & 0xffff, lo);
        },
        counter: (counter) => explorer.cpus.reduce((sum, cpu) => sum + cpu.counters[counter]!, 0),
      };
    },
  };
}
