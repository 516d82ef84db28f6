/**
 * Allocators of executable memory under CPUs that allocate, install, run and free at once. Programs
 * are large enough that packs fill up and empty; the first small one stays to the end. With
 * memory=short frames run out, so that error paths are taken, too.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Level } from '../../cpu/operations.ts';
import { makeAllocator } from '../../kernel/execmem/allocators.ts';
import type { ExecmemImage } from '../../kernel/execmem/boot.ts';
import { CHUNK_BYTES } from '../../kernel/execmem/chunk.ts';
import type { ExecutableMemory } from '../../kernel/execmem/executable-memory.ts';
import type { AllocatorName } from '../../kernel/execmem/options.ts';
import type { ExecmemParts } from '../../kernel/execmem/parts.ts';
import { makePosted } from '../../kernel/execmem/posted.ts';
import { fixedSteps } from '../../kernel/execmem/posted-steps.ts';
import type { Machine } from '../../machine/machine.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import { checkTiling } from '../oracles/area-tiling.ts';
import { checkFiller, checkProtection, tellLostText, tellWrongText } from '../oracles/filler.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import type { TargetFamily } from '../target-options.ts';
import {
  bootSmallExecmem,
  openSmallExecmem,
  smallExecmemShape,
  tellText,
} from './small-execmem.ts';

const RAN = 'an installed program was run';
const FULL = 'frames ran out';
/** First words of chunks of programs; traps are none of these. */
const MARK = 0x91000000;

export interface ExecmemTargetOptions {
  readonly allocator?: AllocatorName;
  /** Of execmem-posted: as posted, or as it was meant. */
  readonly code?: 'posted' | 'fixed';
  readonly memory?: 'plenty' | 'short';
  readonly name?: string;
  /** What a mutant does to the allocator's surroundings, and to itself. */
  parts?(parts: ExecmemParts): ExecmemParts;
  make?(parts: ExecmemParts): ExecutableMemory;
}

export const EXECMEM_TARGET: TargetFamily = {
  options: [
    {
      name: 'allocator',
      values: ['prog_pack', 'module_alloc', 'execmem-posted', 'execmem-rox', 'typed'],
      description: 'who gives the memory out',
    },
    { name: 'code', values: ['posted', 'fixed'], description: 'of execmem-posted: its mistakes' },
    { name: 'memory', values: ['short', 'plenty'], description: 'do frames run out?' },
  ],
  make: (values) => execmemTarget(values as ExecmemTargetOptions),
};

const PLENTY_PAGES = 40;

/** Pages that are given out, for arrays and text: enough for one pack and no more. */
function shortPages(allocator: AllocatorName): number {
  return allocator === 'execmem-rox' ? 5 : 3;
}

/** Chunks of the programs that a CPU loads in one round; whole pages cost the same. */
function sizesOf(allocator: AllocatorName): readonly number[] {
  return allocator === 'module_alloc' || allocator === 'execmem-rox' ? [2, 2] : [2, 40];
}

export function execmemTarget(options: ExecmemTargetOptions = {}): StressTarget {
  const { allocator = 'prog_pack', memory: room = 'short', name = 'execmem' } = options;
  const shape = smallExecmemShape(2, room === 'short' ? shortPages(allocator) : PLENTY_PAGES);
  const goal = { leastCpus: 2, leastOperations: 1 };
  const make = (parts: ExecmemParts): ExecutableMemory => {
    const all = options.parts?.(parts) ?? parts;
    if (options.make !== undefined) return options.make(all);
    const isFixed = options.code === 'fixed' && allocator === 'execmem-posted';
    return isFixed ? makePosted(all, fixedSteps) : makeAllocator(all);
  };
  return {
    name,
    group: 'text',
    description: 'executable memory allocated, installed, run and freed by all CPUs at once',
    smallest: { cpus: 1, operations: 1 },
    usual: { cpus: 2, operations: 1 },
    goals: [{ name: RAN, ...goal }, ...(room === 'short' ? [{ name: FULL, ...goal }] : [])],
    ...shape,
    boot(memory, size) {
      const pmdPages = allocator === 'execmem-rox' ? 2 : 1;
      const booted = bootSmallExecmem(memory, size.cpus, { allocator, pmdPages });
      const { execmem, kernel } = booted;
      return { addresses: {}, numbers: {}, kernel, parts: { execmem } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return loadAndRun(cpu, shape.machine, image, size, { make, allocator }, report);
    },
    finish(memory, image, _size, report) {
      const execmem = image.parts!['execmem'] as ExecmemImage;
      checkTiling(memory, execmem, report);
      const isLeftover = (word: number) => isProgram(word) && ownerOf(word) !== KEPT;
      checkFiller(memory, execmem.table.root, isLeftover, report);
      checkProtection(memory, execmem, shape.machine.architecture, report);
    },
  };
}

/** Number of the program that stays. */
const KEPT = 1;

function isProgram(word: number): boolean {
  return (word & 0xff000000) === (MARK | 0);
}

function ownerOf(word: number): number {
  return (word >>> 8) & 0xffff;
}

function wordOf(id: number, offset: number): number {
  return MARK | (id << 8) | ((offset / CHUNK_BYTES) & 0xff);
}

interface Loaded extends Address {
  readonly bytes: number;
  readonly id: number;
}

function* loadAndRun(
  cpu: Cpu,
  machine: Machine,
  image: StressImage,
  size: StressSize,
  given: {
    readonly allocator: AllocatorName;
    make(parts: ExecmemParts): ExecutableMemory;
  },
  report: Reporter,
): Program {
  const parts = openSmallExecmem(cpu, machine, image.parts!['execmem'] as ExecmemImage);
  const memory = given.make(parts);
  cpu.setVector(Level.Host, function* () {
    yield;
    tellLostText(report, cpu.id, cpu.exception.farHi, cpu.exception.farLo);
  });
  let id = KEPT + cpu.id * 64;
  for (let round = 0; round < size.operations; round++) {
    const live: Loaded[] = [];
    for (const chunks of sizesOf(given.allocator)) {
      const loaded = yield* load(cpu, parts, memory, id++, chunks * CHUNK_BYTES);
      if (loaded === null) {
        report.reach(FULL);
        continue;
      }
      yield* run(cpu, loaded, report);
      if (loaded.id !== KEPT) live.push(loaded);
    }
    for (const one of live) yield* unload(cpu, parts, memory, one);
    cpu.mark();
  }
  yield* parts.smp.calls.leave(cpu);
}

function* load(
  cpu: Cpu,
  parts: ExecmemParts,
  memory: ExecutableMemory,
  id: number,
  bytes: number,
): Generator<Program | undefined, Loaded | null, undefined> {
  yield memory.allocate(cpu, bytes);
  if (cpu.ret < 0) return null;
  const loaded = { hi: cpu.hi, lo: cpu.lo, bytes, id };
  yield memory.install(cpu, loaded.hi, loaded.lo, bytes, (at, offset) => {
    at.lo = wordOf(id, offset);
    return true;
  });
  if (cpu.ret < 0) {
    yield memory.free(cpu, loaded.hi, loaded.lo, bytes);
    return null;
  }
  yield* tellText(cpu, parts.setMemory, EventKind.TextPublished, loaded, bytes);
  return loaded;
}

/** The first word of its first and last chunk. */
function* run(cpu: Cpu, loaded: Loaded, report: Reporter): Program {
  for (const offset of [0, loaded.bytes - CHUNK_BYTES]) {
    const at = addBytes(loaded, offset);
    while (!cpu.fetch(at.hi, at.lo)) yield;
    if (cpu.lo !== wordOf(loaded.id, offset)) tellWrongText(report, cpu.id, at.hi, at.lo);
  }
  report.reach(RAN);
}

function* unload(cpu: Cpu, parts: ExecmemParts, memory: ExecutableMemory, loaded: Loaded): Program {
  yield* tellText(cpu, parts.setMemory, EventKind.TextRetracted, loaded, loaded.bytes);
  yield memory.free(cpu, loaded.hi, loaded.lo, loaded.bytes);
}
