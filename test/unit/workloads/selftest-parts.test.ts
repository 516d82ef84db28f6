/**
 * Promises: times print as the selftests print them; guest modes are read as in the trees of the
 * published figures; main thread and vCPU threads keep step under any interleaving.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { rcuExitIdle } from '../../../src/kernel/base/rcu.ts';
import { guestModeOf, guestModeText } from '../../../workloads/common/guest-mode.ts';
import {
  awaitCompletion,
  awaitIteration,
  bootIterations,
  completeIteration,
  type IterationWords,
  QUIT,
  readIteration,
  startIteration,
} from '../../../workloads/common/iterations.ts';
import { scaledNote, seconds } from '../../../workloads/common/selftest.ts';
import { StepEngine } from '../../support/step-engine.ts';

describe('printed words', () => {
  it('prints timespecs with nine digits', () => {
    expect(seconds(0)).toBe('0.000000000s');
    expect(seconds(123_456_789)).toBe('0.123456789s');
    expect(seconds(31_390_000_001)).toBe('31.390000001s');
  });

  it('says when memory is scaled, and nothing when it is not', () => {
    expect(scaledNote('perVcpuMemory', 8 * 2 ** 20)).toContain('perVcpuMemory=8M');
    expect(scaledNote('perVcpuMemory', 2 ** 30)).toBeNull();
  });

  it('reads -m 2 as the published figures mean it', () => {
    expect(guestModeOf('2')).toBe(guestModeOf('P48V48_4K'));
    expect(guestModeText(guestModeOf('2'))).toBe('PA-bits:48,  VA-bits:48,  4K pages');
  });
});

describe('iterations', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`no vCPU starts an iteration before all have ended the one before, seed ${seed}`, () => {
      const engine = new StepEngine({ cpuCount: 4, seed });
      const words = bootIterations(engine.boot, 0, 3);
      const log: string[] = [];
      engine.run(
        [0, 1, 2]
          .map((vcpu) => (cpu: Cpu) => vcpuThread(cpu, words, vcpu, log))
          .concat((cpu: Cpu) => mainThread(cpu, words, log)),
      );
      for (let iteration = 0; iteration <= 3; iteration++) {
        const ended = log.indexOf(`all ended ${iteration}`);
        const runs = log.flatMap((line, at) => (line === `run ${iteration}` ? [at] : []));
        expect(runs).toHaveLength(3);
        expect(Math.max(...runs)).toBeLessThan(ended);
      }
    });
  }
});

function* vcpuThread(cpu: Cpu, words: IterationWords, vcpu: number, log: string[]): Program {
  while (!rcuExitIdle(cpu)) yield;
  yield readIteration(cpu, words);
  for (let iteration = cpu.lo; iteration !== QUIT; iteration = cpu.lo) {
    log.push(`run ${iteration}`);
    yield completeIteration(cpu, words, vcpu, iteration);
    yield* awaitIteration(cpu, words, iteration);
  }
}

function* mainThread(cpu: Cpu, words: IterationWords, log: string[]): Program {
  while (!rcuExitIdle(cpu)) yield;
  for (let iteration = 0; iteration <= 3; iteration++) {
    if (iteration > 0) yield startIteration(cpu, words, iteration);
    yield awaitCompletion(cpu, words, 3, iteration);
    log.push(`all ended ${iteration}`);
  }
  yield startIteration(cpu, words, QUIT);
}
