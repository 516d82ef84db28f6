/**
 * Promises: after set_memory_ro and _x nobody can write to the area, nor to its linear alias where
 * rodata=full says so, and it can be executed; freed pages are writable again through the linear
 * map; splits keep what is mapped and are counted; no CPU keeps a stale translation (checkers).
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Fence, Level, Order } from '../../../../src/cpu/operations.ts';
import { SET_EXECUTABLE, SET_READ_ONLY } from '../../../../src/kernel/linear-map/set-memory.ts';
import { VmallocRange } from '../../../../src/kernel/vmalloc/image.ts';
import type { Machine } from '../../../../src/machine/machine.ts';
import { type Address, addBytes, LINEAR_MAP_HI } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import {
  S1_KERNEL_DATA_HI,
  S1_KERNEL_DATA_LO,
} from '../../../../src/translation/stage1-descriptors.ts';
import {
  bootKernelMemory,
  type KernelMemoryImage,
  openKernelMemory,
} from '../../../support/kernel-memory.ts';
import { runKernelTest } from '../../../support/kernel-run.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

const PAGE = 4096;
type Rodata = 'noalias' | 'full';

function* skip(cpu: Cpu): Program {
  cpu.skipAttempt();
  while (!cpu.fence(Fence.Isb)) yield;
}

/** Does a store go through? Faults are counted and skipped. */
function* canStore(cpu: Cpu, { hi, lo }: Address): Generator<Program | undefined, boolean> {
  let faulted = false;
  cpu.setVector(Level.Host, (at) => {
    faulted = true;
    return skip(at);
  });
  while (!cpu.store32(hi, lo, 77, Order.Relaxed)) yield;
  return !faulted;
}

function* life(cpu: Cpu, machine: Machine, image: KernelMemoryImage, rodata: Rodata): Program {
  const { vmalloc, setMemory, smp } = openKernelMemory(cpu, machine, image, rodata);
  for (let round = 0; round < 3; round++) {
    yield* vmalloc.allocate(cpu, {
      range: VmallocRange.Modules,
      bytes: 2 * PAGE,
      alignShift: 12,
      node: cpu.node,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
    });
    const area = { hi: cpu.hi, lo: cpu.lo };
    const frames: Address[] = [];
    for (let page = 0; page < 2; page++) {
      const at = addBytes(area, page * PAGE);
      expect(yield* canStore(cpu, at)).toBe(true);
      yield* setMemory.frameOf(cpu, at.hi, at.lo);
      frames.push({ hi: cpu.hi, lo: cpu.lo });
    }
    const alias = { hi: frames[0]!.hi | LINEAR_MAP_HI, lo: frames[0]!.lo };
    expect(yield* canStore(cpu, alias)).toBe(true);
    yield* setMemory.change(cpu, area, 2, SET_READ_ONLY);
    yield* setMemory.change(cpu, area, 2, SET_EXECUTABLE);
    expect(yield* canStore(cpu, area)).toBe(false);
    const aliasIsWritable = machine.architecture === 'arm64' && rodata === 'noalias';
    expect(yield* canStore(cpu, alias)).toBe(aliasIsWritable);
    while (!cpu.fetch(area.hi, area.lo)) yield;
    yield* setMemory.resetAliases(cpu, frames, 0);
    expect(yield* canStore(cpu, alias)).toBe(true);
    yield* vmalloc.free(cpu, area.hi, area.lo);
  }
  yield* smp.calls.leave(cpu);
}

describe('set_memory', () => {
  it.each([
    ['arm64', '0', 'full'],
    ['arm64', '0', 'noalias'],
    ['arm64', '2-noabort', 'full'],
    ['x86', '2-noabort', 'full'],
  ] as const)('%s, cpu.bbm=%s, rodata=%s', (architecture, bbm, rodata) => {
    const test = makeTestMachine({ cpuCount: 3, nodeCount: 2, features: { bbm } });
    const machine: Machine = { ...test, architecture };
    const byPages = architecture === 'arm64' && bbm === '0';
    const run = runKernelTest<KernelMemoryImage>({
      machine,
      cpus: [0, 1, 2],
      backedBytes: 4 * 2 ** 20,
      boot: (boot, kernel) => bootKernelMemory(boot, kernel, byPages),
      program: (cpu, image) => life(cpu, machine, image, rodata),
    });
    const { counts } = run.image.linear;
    const count = (level: number): number =>
      run.memory.peek32(counts.hi & 0xffff, counts.lo + level * 4);
    const mapped = count(1) * 2 ** 30 + count(2) * 2 ** 21 + count(3) * PAGE;
    const whole = machine.memoryBytesOfNode.reduce((sum, bytes) => sum + bytes, 0);
    expect(mapped).toBe(whole);
    expect(run.counter(Counter.DirectMapSplits) > 0).toBe(!byPages);
  });
});
