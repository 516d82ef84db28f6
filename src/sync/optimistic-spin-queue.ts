/**
 * The queue of CPUs that spin for a sleeping lock: MCS on one node per CPU.
 * Source: kernel/locking/osq_lock.c.
 * Invariant: only the head of the queue spins on the lock's owner.
 * Line transfers per hand-over: 2, as MCS.
 * Deviation: nobody leaves the queue before his turn (the unqueue path), because a CPU here runs
 * one task and never has to reschedule.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

const NEXT = 0;
const MAY_SPIN = 4;

export function* lockSpinQueue(cpu: Cpu, hi: number, lo: number): Program {
  const self = cpu.id + 1;
  const ownHi = cpu.perCpuHi(cpu.id);
  const node = nodeLo(cpu, cpu.id, LockNode.OptimisticSpin);
  while (!cpu.store64(ownHi, node, 0, 0, Order.Relaxed)) yield;
  while (!cpu.swap32(hi, lo, self, Order.SequentiallyConsistent)) yield;
  if (cpu.lo === 0) return;
  const previous = cpu.lo - 1;
  const previousLo = nodeLo(cpu, previous, LockNode.OptimisticSpin);
  while (!cpu.store32(cpu.perCpuHi(previous), previousLo + NEXT, self, Order.Release)) yield;
  while (!cpu.cond32(ownHi, node + MAY_SPIN, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
}

export function* unlockSpinQueue(cpu: Cpu, hi: number, lo: number): Program {
  const ownHi = cpu.perCpuHi(cpu.id);
  const node = nodeLo(cpu, cpu.id, LockNode.OptimisticSpin);
  while (!cpu.cas32(hi, lo, cpu.id + 1, 0, Order.Release)) yield;
  if (cpu.ok) return;
  while (!cpu.cond32(ownHi, node + NEXT, Condition.NotEqual, -1, 0, Order.Relaxed)) yield;
  const next = cpu.lo - 1;
  const nextLo = nodeLo(cpu, next, LockNode.OptimisticSpin);
  while (!cpu.store32(cpu.perCpuHi(next), nextLo + MAY_SPIN, 1, Order.Relaxed)) yield;
}
