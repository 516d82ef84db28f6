/**
 * The two CPUs of an algorithm for two: which side of the lock each of them is. Set-up, no part of
 * the algorithms: a CPU claims a side by compare-and-swap at its first acquisition.
 */

import { assert } from '../base/assert.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';

/** Result in cpu.ret: 0 or 1, this CPU's side; `claims` = two words of the lock on their own. */
export function* sideOf(cpu: Cpu, hi: number, claims: number): Program {
  const self = cpu.id + 1;
  for (let side = 0; side < 2; side++) {
    const at = claims + 4 * side;
    while (!cpu.load32(hi, at, Order.Relaxed)) yield;
    if (cpu.lo === 0) {
      while (!cpu.cas32(hi, at, 0, self, Order.Relaxed)) yield;
      if (cpu.ok) cpu.lo = self;
    }
    if (cpu.lo === self) {
      cpu.ret = side;
      return;
    }
  }
  assert(false, `cpu ${cpu.id} is the third to ask for a lock that is for two CPUs`);
}
