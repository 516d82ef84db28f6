/**
 * Targets of kernel text and executable memory: right as they are they say nothing, under each
 * strategy and model, and a few schedules reach every goal. That they can say something is shown by
 * their mutants (T01 ..., mutants.test.ts).
 */

import { describe, expect, it } from 'vitest';
import type { MemoryModel } from '../../../src/engine/explore/execution.ts';
import { runSchedule } from '../../../src/engine/explore/run-schedule.ts';
import { STRATEGIES, strategyOptions } from '../../../src/stress/mutants/score-strategies.ts';
import { observeExplorer } from '../../../src/stress/oracles/all.ts';
import { resolveTarget } from '../../../src/stress/registry.ts';
import { openTarget } from '../../../src/stress/run-target.ts';
import { TEXT_TARGETS } from '../../../src/stress/targets/kernel-text.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const EXPECTED_STEPS = 200;
const SCHEDULES = 4;

const EXECMEM = [
  'execmem',
  'execmem allocator=module_alloc',
  'execmem allocator=execmem-posted code=fixed',
  'execmem allocator=execmem-rox',
  'execmem allocator=typed',
];

describe.each([...Object.keys(TEXT_TARGETS), ...EXECMEM])('%s', (name) => {
  it.each(MODELS)('is silent and reaches its goals under %s', async (model) => {
    const target = await resolveTarget({ name, mutant: '', lock: null });
    const { explorer } = openTarget(target, target.usual, {
      model,
      seed: 1,
      observe: (opened) => observeExplorer(opened, target),
    });
    for (const { name: strategy, make } of STRATEGIES) {
      const chosen = make(strategyOptions(1, EXPECTED_STEPS));
      for (let schedule = 0; schedule < SCHEDULES; schedule++) {
        const { outcome, finding } = runSchedule(explorer, chosen, schedule);
        expect(outcome, `${strategy} ${schedule}: ${finding?.text}`).toBe('passed');
      }
    }
    expect([...explorer.reached]).toEqual(
      expect.arrayContaining(target.goals.map((goal) => goal.name)),
    );
  });
});
