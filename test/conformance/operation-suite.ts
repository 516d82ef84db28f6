/** What the CPU operations promise, on any engine. */

import { describe, expect, it } from 'vitest';
import type { ConformanceEngine } from './engine.ts';
import { Word } from './lock-scenarios.ts';

export function describeOperations(engine: ConformanceEngine, seeds: number): void {
  const parameters = { lock: 'none', cpuCount: 4, rounds: 25 };

  describe(`CPU operations on the ${engine.name} engine`, () => {
    it('give the results that the interface states', async () => {
      const outcome = await engine.run('results', parameters, 1);
      expect(outcome.word(Word.Owner), 'number of the failed check').toBe(0);
      expect(outcome.word(Word.Violations)).toBe(0);
    });

    it('add 64 bits without losing a carry', async () => {
      for (let seed = 0; seed < seeds; seed++) {
        const outcome = await engine.run('wideSum', parameters, seed);
        // 100 times 0x80000001: the low half keeps 100.
        expect(outcome.word(Word.Turn)).toBe(100);
      }
    });

    it('lose no wake-up', async () => {
      for (let seed = 0; seed < seeds; seed++) {
        const outcome = await engine.run('sleepers', parameters, seed);
        expect(outcome.word(Word.Turn)).toBe(100);
      }
    });

    it('acknowledge TLBIs on CPUs that wait, mask interrupts or have finished', async () => {
      for (let seed = 0; seed < seeds; seed++) {
        const outcome = await engine.run('shootdowns', parameters, seed);
        expect(outcome.word(Word.Gate)).toBe(25);
      }
    });
  });
}
