/** Programs that fail on purpose; worker threads load the compiled form of this file. */

import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../../src/cpu/operations.ts';
import type { Address } from '../../../../src/memory/physical-address.ts';

function* waitForNothing(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.cond32(hi, lo, Condition.Equal, -1, 1, Order.Acquire)) yield;
}

/** CPU 0 throws; the others wait for a word that nobody writes. */
export const throwing = {
  *program(cpu: Cpu, word: Address): Program {
    if (cpu.id === 0) throw new Error('the program of cpu 0 is broken');
    yield waitForNothing(cpu, word);
  },
};

/** CPU 0 ends its whole thread. */
export const dying = {
  *program(cpu: Cpu, word: Address): Program {
    if (cpu.id === 0) process.exit(7);
    yield waitForNothing(cpu, word);
  },
};

/** Everybody waits for a word that nobody writes. */
export const deadlocked = {
  program: (cpu: Cpu, word: Address): Program => waitForNothing(cpu, word),
};

/** CPU 0 spins on its word for ever, so that attempts are performed but nothing gets done. */
export const spinning = {
  *program(cpu: Cpu, { hi, lo }: Address): Program {
    for (;;) {
      while (!cpu.swap32(hi, lo, 1, Order.Acquire)) yield;
    }
  },
};

/** CPU 0 never comes back to an attempt. */
export const deaf = {
  *program(cpu: Cpu, word: Address): Program {
    if (cpu.id === 0) for (;;);
    yield waitForNothing(cpu, word);
  },
};

/** Leaves the address space that this engine knows. */
export const guest = {
  *program(cpu: Cpu): Program {
    while (!cpu.load32(0, 0x1000, Order.Relaxed)) yield;
  },
};
