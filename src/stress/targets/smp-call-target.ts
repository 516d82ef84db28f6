/**
 * Calls between CPUs (src/kernel/smp/call-function.ts): everybody calls all others at once, each
 * call counts in a word of the receiver, and nobody leaves while others may still call. When a call
 * has returned all receivers have run it.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import {
  bootSmp,
  type CallFunction,
  SmpCalls,
  type SmpImage,
} from '../../kernel/smp/call-function.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { checkCount, LOST_UPDATE } from '../oracles/lost-update.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

const ROOM_BYTES = 8192;
const CROSSED = 'a call came while the CPU was calling';

export function smpCallTarget(): StressTarget {
  return {
    name: 'smp-call',
    group: 'text',
    description: 'CPUs that run functions on each other by IPI, all at once',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 3, operations: 1 },
    goals: [{ name: CROSSED, leastCpus: 2, leastOperations: 1 }],
    ...shapeOf(3, ROOM_BYTES),
    exploreOnly: 'CPUs are called before they have begun',
    boot(memory, size) {
      const smp = bootSmp(
        memory,
        Array.from({ length: size.cpus }, (_, cpu) => cpu),
      );
      const answered = memory.allocateNamed('answered', 0, 64 * size.cpus);
      return { addresses: { answered }, numbers: {}, parts: { smp } };
    },
    program(cpu, image, size, report) {
      return cpu.id < size.cpus ? callAll(cpu, image, size, report) : null;
    },
    finish(memory, image, size, report) {
      const { hi, lo } = image.addresses['answered']!;
      for (let cpu = 0; cpu < size.cpus; cpu++) {
        const expected = (size.cpus - 1) * size.operations;
        checkCount(memory, { hi, lo: lo + cpu * 64 }, expected, 'the count of calls', report);
      }
    },
  };
}

function* callAll(cpu: Cpu, image: StressImage, size: StressSize, report: Reporter): Program {
  const { hi, lo: first } = toLinear(image.addresses['answered']!);
  const wordOf = (id: number): number => first + id * 64;
  let calling = false;
  const answer: CallFunction = function* (at) {
    if (calling) report.reach(CROSSED);
    const lo = wordOf(at.id);
    while (!at.load32(hi, lo, Order.Relaxed)) yield;
    const count = at.lo + 1;
    while (!at.store32(hi, lo, count, Order.Relaxed)) yield;
  };
  const calls = new SmpCalls(image.parts!['smp'] as SmpImage, [answer]);
  calls.enter(cpu);
  for (let round = 1; round <= size.operations; round++) {
    calling = true;
    yield* calls.callOthers(cpu, 0, 0, 0);
    calling = false;
    for (let other = 0; other < size.cpus; other++) {
      if (other === cpu.id) continue;
      while (!cpu.load32(hi, wordOf(other), Order.Relaxed)) yield;
      if (cpu.lo >= round) continue;
      const text = 'a call has returned and was not answered';
      report.fail({ oracle: LOST_UPDATE, cpus: [cpu.id, other], text, hi, lo: wordOf(other) });
    }
    cpu.mark();
  }
  yield* calls.leave(cpu);
}
