/** All scenarios by name. Worker threads load the compiled form of this file. */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import type { Scenario, ScenarioImage, ScenarioParameters } from './engine.ts';
import * as locks from './lock-scenarios.ts';
import * as operations from './operation-scenarios.ts';

const TABLE = { ...operations, ...locks } as unknown as Readonly<Record<string, Scenario>>;

export function scenarioByName(name: string): Scenario {
  const scenario = Object.hasOwn(TABLE, name) ? TABLE[name] : undefined;
  if (scenario === undefined) throw new Error(`no scenario '${name}'`);
  return scenario;
}

/** What an engine with worker threads loads: the scenario is named in the context. */
export interface NamedScenario {
  readonly scenario: string;
  readonly parameters: ScenarioParameters;
}

export const namedScenario = {
  program(cpu: Cpu, image: ScenarioImage, context: NamedScenario): Program | null {
    return scenarioByName(context.scenario).program(cpu, image, context.parameters);
  },
};
