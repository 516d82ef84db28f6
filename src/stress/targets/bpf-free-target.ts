/**
 * BPF programs that are replaced while others run them: CPU 0 loads a program, publishes it, waits
 * for a grace period after it took the one before away, and frees that (bpf_prog_put, then
 * __bpf_prog_put_rcu). The others run whatever is published, inside read-side sections.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, EventKind, Order } from '../../cpu/operations.ts';
import { rcuEnterIdle, rcuExitIdle, rcuReadLock, rcuReadUnlock } from '../../kernel/base/rcu.ts';
import { bootRcu, Rcu, type RcuImage } from '../../kernel/base/rcu-callbacks.ts';
import {
  BpfJit,
  type BpfJitImage,
  type BpfText,
  bootBpfJit,
  RunResult,
  runBpf,
  textBytes,
} from '../../kernel/bpf/jit.ts';
import { makeAllocator } from '../../kernel/execmem/allocators.ts';
import type { ExecmemImage } from '../../kernel/execmem/boot.ts';
import { trapWord } from '../../kernel/execmem/executable-memory.ts';
import type { Machine } from '../../machine/machine.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { FREED_TEXT } from '../oracles/freed-text.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import {
  bootSmallExecmem,
  openSmallExecmem,
  smallExecmemShape,
  tellText,
} from './small-execmem.ts';

const PAGES = 24;
const RAN = 'a program was run by another CPU';
const REPLACED = 'a program was replaced';
/** Of code: the header and the traps at the end make two chunks of it. */
const CODE_BYTES = 32;

/** The step that mutants replace: waits for everybody who may still be inside. */
export type WaitForReaders = (cpu: Cpu, rcu: Rcu) => Program;

export function bpfFreeTarget(
  wait: WaitForReaders = (cpu, rcu) => rcu.synchronize(cpu),
  name = 'bpf-free',
): StressTarget {
  const shape = smallExecmemShape(2, PAGES);
  const goal = { leastCpus: 2, leastOperations: 2 };
  return {
    name,
    group: 'text',
    description: 'BPF programs replaced and freed by RCU while other CPUs run them',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: RAN, ...goal },
      { name: REPLACED, ...goal },
    ],
    ...shape,
    boot(memory, size) {
      const prog = toLinear(memory.allocateNamed('prog', 0, (1 + size.operations) * PROG_BYTES));
      const jit = bootBpfJit(memory, 0);
      const cpus = Array.from({ length: size.cpus }, (_, cpu) => cpu);
      const rcu = bootRcu(memory, 0, cpus);
      const options = { allocator: 'prog_pack' } as const;
      const { execmem, kernel } = bootSmallExecmem(memory, size.cpus, options);
      return { addresses: { prog }, numbers: {}, kernel, parts: { jit, rcu, execmem } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      if (cpu.id === 0) return replace(cpu, shape.machine, image, size, wait, report);
      return run(cpu, shape.machine, image, size, report);
    },
    finish() {},
  };
}

/** A struct bpf_prog per program: its text, and which it is. Published by its linear address. */
const Prog = { Text: 0, Id: 8 } as const;
const PROG_BYTES = 64;

function* replace(
  cpu: Cpu,
  machine: Machine,
  image: StressImage,
  size: StressSize,
  wait: WaitForReaders,
  report: Reporter,
): Program {
  const {
    jit: jitImage,
    rcu: rcuImage,
    execmem,
  } = image.parts as {
    jit: BpfJitImage;
    rcu: RcuImage;
    execmem: ExecmemImage;
  };
  const parts = openSmallExecmem(cpu, machine, execmem);
  const jit = new BpfJit(jitImage, parts, makeAllocator(parts));
  const rcu = new Rcu(rcuImage, []);
  const { hi, lo } = image.addresses['prog']!;
  const bytes = textBytes(CODE_BYTES);
  let old: BpfText | null = null;
  for (let id = 1; id <= size.operations; id++) {
    yield jit.load(cpu, id, CODE_BYTES);
    const text: BpfText = { hi: cpu.hi, lo: cpu.lo, bytes, id };
    yield* tellText(cpu, parts.setMemory, EventKind.TextPublished, text, bytes);
    const prog = lo + id * PROG_BYTES;
    while (!cpu.store64(hi, prog + Prog.Text, text.hi, text.lo, Order.Relaxed)) yield;
    while (!cpu.store32(hi, prog + Prog.Id, id, Order.Relaxed)) yield;
    while (!cpu.store64(hi, lo, hi, prog, Order.Release)) yield;
    if (old !== null) {
      yield* wait(cpu, rcu);
      yield* tellText(cpu, parts.setMemory, EventKind.TextRetracted, old, bytes);
      yield jit.free(cpu, old);
      report.reach(REPLACED);
    }
    old = text;
    cpu.mark();
  }
  yield* parts.smp.calls.leave(cpu);
}

function* run(
  cpu: Cpu,
  machine: Machine,
  image: StressImage,
  size: StressSize,
  report: Reporter,
): Program {
  const execmem = image.parts!['execmem'] as ExecmemImage;
  const parts = openSmallExecmem(cpu, machine, execmem);
  const { hi, lo } = image.addresses['prog']!;
  const bytes = textBytes(CODE_BYTES);
  while (!rcuExitIdle(cpu)) yield;
  for (let round = 0; round < 2 * size.operations; round++) {
    // Each program is waited for outside of sections, then run twice.
    const least = lo + (1 + (round >> 1)) * PROG_BYTES;
    const { AtLeastWrapping } = Condition;
    while (!cpu.cond32(hi, lo, AtLeastWrapping, -1, least, Order.Relaxed)) yield;
    yield* rcuReadLock(cpu);
    while (!cpu.load64(hi, lo, Order.Acquire)) yield;
    const prog = { hi: cpu.hi, lo: cpu.lo };
    while (!cpu.load32(prog.hi, prog.lo + Prog.Id, Order.Relaxed)) yield;
    const id = cpu.lo;
    while (!cpu.load64(prog.hi, prog.lo + Prog.Text, Order.Relaxed)) yield;
    const text = { hi: cpu.hi, lo: cpu.lo, bytes, id };
    yield* runBpf(cpu, text, trapWord(machine));
    report.reach(RAN);
    if (cpu.ret !== RunResult.Right) {
      const what = 'meets other words than those of the program that it runs';
      report.fail({ oracle: FREED_TEXT, cpus: [cpu.id], text: what, hi: text.hi, lo: text.lo });
    }
    yield* rcuReadUnlock(cpu);
    cpu.mark();
  }
  while (!rcuEnterIdle(cpu)) yield;
  yield* parts.smp.calls.leave(cpu);
}
