/** The step engine itself: interleaving, blocking, deadlock, exceptions, interrupts, replay. */

import { describe, expect, it } from 'vitest';
import { StallError } from '../../../src/base/errors.ts';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { Condition, Level, Order, Regime } from '../../../src/cpu/operations.ts';
import { type Address, toLinear } from '../../../src/memory/physical-address.ts';
import { StepEngine } from '../../support/step-engine.ts';

function* lostUpdate(cpu: Cpu, word: Address, rounds: number): Program {
  for (let i = 0; i < rounds; i++) {
    while (!cpu.load32(word.hi, word.lo, Order.Relaxed)) yield;
    const next = cpu.lo + 1;
    while (!cpu.store32(word.hi, word.lo, next, Order.Relaxed)) yield;
  }
}

function* addRounds(cpu: Cpu, word: Address, rounds: number): Program {
  for (let i = 0; i < rounds; i++) {
    while (!cpu.add32(word.hi, word.lo, 1, Order.Relaxed)) yield;
  }
}

function* nested(cpu: Cpu, word: Address, depth: number): Program {
  if (depth === 0) yield addRounds(cpu, word, 1);
  else yield nested(cpu, word, depth - 1);
}

function wordOf(engine: StepEngine): Address {
  return toLinear(engine.boot.allocateNamed('word', 0, 64));
}

describe('step engine', () => {
  it('shows a lost update that atomics do not have', () => {
    let lost = 0;
    for (let seed = 0; seed < 50; seed++) {
      const engine = new StepEngine({ seed });
      const word = wordOf(engine);
      engine.run([(cpu) => lostUpdate(cpu, word, 3), (cpu) => lostUpdate(cpu, word, 3)]);
      if (engine.peek32(word) < 6) lost++;
      engine.run([0, 1, 2, 3].map(() => (cpu: Cpu) => addRounds(cpu, word, 5)));
      expect(engine.peek32(word) % 20).toBeLessThanOrEqual(6);
    }
    expect(lost).toBeGreaterThan(10);
  });

  it('gives the same result for the same seed', () => {
    const run = (seed: number): number[] => {
      const engine = new StepEngine({ seed });
      const word = wordOf(engine);
      engine.run([0, 1, 2, 3].map(() => (cpu: Cpu) => lostUpdate(cpu, word, 20)));
      return [engine.peek32(word), engine.steps];
    };
    expect(run(5)).toEqual(run(5));
  });

  it('runs called programs on an explicit stack', () => {
    const engine = new StepEngine();
    const word = wordOf(engine);
    engine.run([(cpu) => nested(cpu, word, 20)]);
    expect(engine.peek32(word)).toBe(1);
  });

  it('wakes a conditional load, and reports a deadlock with the name of the word', () => {
    const engine = new StepEngine();
    const word = wordOf(engine);
    function* wait(cpu: Cpu, value: number): Program {
      while (!cpu.cond32(word.hi, word.lo, Condition.Equal, -1, value, Order.Acquire)) yield;
      expect(cpu.lo).toBe(value);
    }
    engine.run([(cpu) => wait(cpu, 1), (cpu) => addRounds(cpu, word, 1)]);
    expect(() => engine.run([(cpu) => wait(cpu, 9)])).toThrow(StallError);
    expect(() => new StepEngine().run([(cpu) => wait(cpu, 9)])).toThrow(/deadlock/);
    expect(engine.cpus[0]!.finished).toBe(false);
  });

  it('lets a timed wait expire when nobody else can go on', () => {
    const engine = new StepEngine();
    const word = wordOf(engine);
    function* wait(cpu: Cpu): Program {
      const until = cpu.deadline(1_000_000_000);
      while (!cpu.cond32Until(word.hi, word.lo, Condition.Equal, -1, 1, until, Order.Acquire))
        yield;
      expect(cpu.ok).toBe(false);
      expect(cpu.expired(until)).toBe(true);
    }
    engine.run([wait]);
  });

  it('repeats the faulting access after the handler, in the regime it came from', () => {
    let mapped = false;
    const engine = new StepEngine({
      translateGuest: () =>
        mapped
          ? { ok: true, paHi: 0, paLo: 0x40 }
          : { ok: false, level: Level.El2, fsc: 0b000111, ipaHi: 0, ipaLo: 0x5000 },
    });
    engine.memory.poke32(0, 0x40, 77);
    function* handler(cpu: Cpu): Program {
      expect(cpu.regime).toBe(Regime.Host);
      expect(cpu.exception).toMatchObject({ farLo: 0x5008, ipaLo: 0x5000, write: false });
      mapped = true;
      yield;
    }
    function* guest(cpu: Cpu): Program {
      cpu.setVector(Level.El2, handler);
      cpu.setRegime(Regime.Guest);
      while (!cpu.load32(0, 0x5008, Order.Relaxed)) yield;
      expect(cpu.lo).toBe(77);
      expect(cpu.regime).toBe(Regime.Guest);
    }
    engine.run([guest]);
  });

  it('skips the faulting access when the handler says so', () => {
    const engine = new StepEngine({
      translateHost: () => ({ ok: false, level: Level.Host, fsc: 7, ipaHi: 0, ipaLo: 0 }),
    });
    function* handler(cpu: Cpu): Program {
      cpu.skipAttempt();
      yield;
    }
    function* program(cpu: Cpu): Program {
      cpu.setVector(Level.Host, handler);
      cpu.ok = true;
      while (!cpu.load32(0, 0x5008, Order.Relaxed)) yield;
      expect(cpu.ok).toBe(false);
    }
    engine.run([program]);
  });

  it('takes interrupts on finished and idle CPUs, not while masked; a wake is never lost', () => {
    for (let seed = 0; seed < 30; seed++) {
      const engine = new StepEngine({ seed, cpuCount: 3, nodeCount: 1 });
      const word = wordOf(engine);
      let masked = false;
      function* onInterrupt(cpu: Cpu): Program {
        expect(cpu.id === 1 && masked).toBe(false);
        yield addRounds(cpu, word, 1);
      }
      function* sender(cpu: Cpu): Program {
        while (!cpu.ipi(1, 3)) yield;
        while (!cpu.ipi(2, 3)) yield;
        while (!cpu.wake(1)) yield;
      }
      function* sleeper(cpu: Cpu): Program {
        cpu.interrupts(false);
        masked = true;
        yield addRounds(cpu, word, 5);
        masked = false;
        cpu.interrupts(true);
        while (!cpu.idle()) yield;
      }
      function* install(cpu: Cpu): Program {
        cpu.setInterrupt(3, onInterrupt);
        yield;
      }
      engine.run([null, install, install]);
      engine.run([sender, sleeper]);
      expect(engine.peek32(word)).toBe(7);
    }
  });
});
