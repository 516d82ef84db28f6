/**
 * The virtual engine under the conformance suite: one worker in this thread, every checker of the
 * engine on, CPU and mailbox order shuffled by the seed.
 */

import { makeTestMachine } from '../support/test-machine.ts';
import { runScenario } from '../support/virtual-scenario.ts';
import type { ConformanceEngine, ConformanceOutcome } from './engine.ts';
import { scenarioByName } from './scenario-table.ts';

export const virtualConformance: ConformanceEngine = {
  name: 'virtual',
  run(name, parameters, seed): ConformanceOutcome {
    const { cpuCount } = parameters;
    return runScenario(scenarioByName(name), parameters, seed, {
      machine: makeTestMachine({ cpuCount, nodeCount: Math.min(2, cpuCount) }),
      cpus: Array.from({ length: cpuCount }, (_, cpu) => cpu),
      debug: { witness: true, shuffle: seed + 1, translations: true, repeats: true },
    });
  },
};
