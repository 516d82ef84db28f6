/**
 * Promises of every allocator: what was installed is what is read at its address, on every CPU and
 * until it is freed; nobody can write to it; live programs never overlap; with everything freed no
 * address space and no frame is missing. Checkers of translations are on.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { makeAllocator } from '../../../../src/kernel/execmem/allocators.ts';
import {
  bootExecmem,
  type ExecmemImage,
  execmemBytes,
} from '../../../../src/kernel/execmem/boot.ts';
import type { AllocatorName, ExecmemOptions } from '../../../../src/kernel/execmem/options.ts';
import { resolveExecmemOptions } from '../../../../src/kernel/execmem/options.ts';
import { openExecmemParts } from '../../../../src/kernel/execmem/parts.ts';
import { fillWith } from '../../../../src/kernel/patching/text-poke.ts';
import type { Machine } from '../../../../src/machine/machine.ts';
import { addBytes } from '../../../../src/memory/physical-address.ts';
import { runKernelTest } from '../../../support/kernel-run.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

const ROUNDS = 5;
const AREAS = 300;

interface Loaded {
  readonly hi: number;
  readonly lo: number;
  readonly bytes: number;
  readonly word: number;
}

function* life(cpu: Cpu, machine: Machine, image: ExecmemImage): Program {
  const parts = openExecmemParts(cpu, machine, image);
  const memory = makeAllocator(parts);
  const live: Loaded[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = 64 * (1 + (cpu.random(0) % 40));
    yield memory.allocate(cpu, bytes);
    expect(cpu.ret).toBe(0);
    const program = { hi: cpu.hi, lo: cpu.lo, bytes, word: 0x10000 * cpu.id + round };
    yield memory.install(cpu, program.hi, program.lo, bytes, fillWith(program.word));
    expect(cpu.ret).toBe(0);
    live.push(program);
    for (const other of live) yield* check(cpu, other);
    if (live.length < 3) continue;
    yield* give(cpu, memory, live.splice(cpu.random(0) % live.length, 1)[0]!);
  }
  for (const program of live) yield* give(cpu, memory, program);
  yield* parts.smp.calls.leave(cpu);
  yield* parts.vmalloc.purge(cpu);
}

function* check(cpu: Cpu, { hi, lo, bytes, word }: Loaded): Program {
  for (const offset of [0, bytes - 4]) {
    const at = addBytes({ hi, lo }, offset);
    while (!cpu.load32(at.hi, at.lo, Order.Relaxed)) yield;
    expect(cpu.lo).toBe(word);
  }
}

function* give(cpu: Cpu, memory: ReturnType<typeof makeAllocator>, program: Loaded): Program {
  yield* check(cpu, program);
  yield memory.free(cpu, program.hi, program.lo, program.bytes);
}

const CASES: readonly [AllocatorName, 'arm64' | 'x86', Partial<ExecmemOptions>][] = [
  ['module_alloc', 'arm64', {}],
  ['module_alloc', 'x86', {}],
  ['prog_pack', 'arm64', {}],
  ['prog_pack', 'x86', {}],
  ['prog_pack', 'x86', { packPages: '2M' }],
];

describe('allocators of executable memory', () => {
  it.each(CASES)('%s on %s %o', (allocator, architecture, given) => {
    const bbm = architecture === 'x86' ? '2-noabort' : '0';
    const test = makeTestMachine({ cpuCount: 3, nodeCount: 1, features: { bbm } });
    const machine: Machine = { ...test, architecture };
    const options = { ...resolveExecmemOptions({ allocator }, machine), ...given };
    runKernelTest<ExecmemImage>({
      machine,
      cpus: [0, 1, 2],
      backedBytes: 24 * 2 ** 20 + execmemBytes(machine, AREAS),
      boot: (boot, { map, userRoots, smp }) =>
        bootExecmem(boot, {
          options,
          map,
          userRoots,
          smp: smp!,
          replicatedText: false,
          areas: AREAS,
          lazyPagesMax: 64,
        }),
      program: (cpu, image) => life(cpu, machine, image),
    });
  });
});
