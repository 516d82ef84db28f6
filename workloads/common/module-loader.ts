/**
 * Loading and unloading one module (kernel/module/main.c, v6.13: init_module_from_file,
 * load_module, move_module, apply_relocations, complete_formation, do_init_module; delete_module,
 * free_module).
 *
 * Deviations: no symbols, no sysfs, no notifiers; a relocation reads and writes a word that is
 * right already, one per 32 bytes; text that can't be written in place is relocated in the file's
 * copy; init memory, which a work item frees after a grace period, the loader frees itself, after
 * what is measured as the load.
 */

import { CheckError, UserError } from '../../src/base/errors.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import type { Rcu } from '../../src/kernel/base/rcu-callbacks.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../../src/kernel/base/struct-page.ts';
import { writeWords } from '../../src/kernel/execmem/executable-memory.ts';
import { copyFrom } from '../../src/kernel/patching/text-poke.ts';
import { VmallocRange } from '../../src/kernel/vmalloc/image.ts';
import type { Vmalloc } from '../../src/kernel/vmalloc/vmalloc.ts';
import { Cost } from '../../src/machine/costs.ts';
import { type Address, addBytes } from '../../src/memory/physical-address.ts';
import { Metric } from '../../src/metrics/definition.ts';
import type { Lock } from '../../src/sync/lock.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../src/translation/stage1-descriptors.ts';
import { contentsOf, type ModuleImage, runSection, type Section } from './module-image.ts';
import type { ModuleMemory } from './module-memory.ts';

const RELOCATION_BYTES = 32;

export interface LoaderParts {
  readonly memory: ModuleMemory;
  readonly vmalloc: Vmalloc;
  readonly rcu: Rcu;
  /** module_mutex, a linear-map address. */
  readonly mutex: Lock;
  readonly mutexAt: Address;
}

export interface LoadedModule {
  readonly image: ModuleImage;
  /** By section. */
  readonly at: readonly Address[];
}

function isInit({ type }: Section): boolean {
  return type.startsWith('INIT');
}

/** Throws where memory runs out: the machine of the run is too small for its options. */
export function* loadModule(
  cpu: Cpu,
  parts: LoaderParts,
  image: ModuleImage,
): Generator<Program | undefined, LoadedModule, undefined> {
  const { memory, rcu } = parts;
  cpu.begin(Metric.ModuleLoad);
  cpu.spend(Cost.Syscall);
  const file = yield* readFile(cpu, parts, image);
  yield* underMutex(cpu, parts);
  const at: Address[] = [];
  for (const { type, bytes } of image.sections) {
    yield memory.allocate(cpu, type, bytes);
    refuseFailure(cpu, image, type);
    at.push({ hi: cpu.hi, lo: cpu.lo });
  }
  for (const [index, section] of image.sections.entries()) {
    yield place(cpu, memory, section, at[index]!, addBytes(file, section.offset));
  }
  yield* parts.vmalloc.free(cpu, file.hi, file.lo);
  for (const [index, { type, bytes }] of image.sections.entries()) {
    if (memory.protect === undefined) break;
    yield memory.protect(cpu, type, at[index]!, bytes);
    refuseFailure(cpu, image, type);
  }
  yield* underMutex(cpu, parts);
  const loaded = { image, at };
  yield* runModule(cpu, loaded, 'INITTEXT');
  cpu.end(Metric.ModuleLoad);
  yield rcu.synchronize(cpu);
  yield* freeSections(cpu, memory, loaded, true);
  return loaded;
}

function refuseFailure(cpu: Cpu, { id }: ModuleImage, type: string): void {
  if (cpu.ret === 0) return;
  throw new UserError(`module ${id}: no memory for ${type} (${cpu.ret}); use a smaller textSize`);
}

/** kernel_read_file into an area of vmalloc. */
function* readFile(
  cpu: Cpu,
  { vmalloc }: LoaderParts,
  image: ModuleImage,
): Generator<Program | undefined, Address, undefined> {
  yield* vmalloc.allocate(cpu, {
    range: VmallocRange.Vmalloc,
    bytes: Math.ceil(image.bytes / PAGE_BYTES) * PAGE_BYTES,
    alignShift: PAGE_SHIFT,
    node: cpu.node,
    attributesHi: S1_KERNEL_DATA_HI,
    attributesLo: S1_KERNEL_DATA_LO,
  });
  refuseFailure(cpu, image, 'its file');
  const file = { hi: cpu.hi, lo: cpu.lo };
  yield* writeWords(cpu, file.hi, file.lo, image.bytes, contentsOf(image));
  return file;
}

/** add_unformed_module, and the state that complete_formation sets: the list is not modelled. */
function* underMutex(cpu: Cpu, { mutex, mutexAt }: LoaderParts): Program {
  yield* mutex.acquire(cpu, mutexAt.hi, mutexAt.lo);
  yield* mutex.release(cpu, mutexAt.hi, mutexAt.lo);
}

/** move_module and apply_relocations for one section. */
function* place(
  cpu: Cpu,
  memory: ModuleMemory,
  { type, bytes }: Section,
  at: Address,
  from: Address,
): Program {
  const inPlace = memory.isWritable(type);
  if (!inPlace) yield* relocate(cpu, from, bytes);
  yield* memory.fill(cpu, type, at, bytes, copyFrom(from.hi, from.lo));
  if (inPlace) yield* relocate(cpu, at, bytes);
}

function* relocate(cpu: Cpu, { hi, lo }: Address, bytes: number): Program {
  for (let done = 0; done < bytes; done += RELOCATION_BYTES) {
    while (!cpu.load32(hi, (lo + done) | 0, Order.Relaxed)) yield;
    const word = cpu.lo;
    while (!cpu.store32(hi, (lo + done) | 0, word, Order.Relaxed)) yield;
  }
}

/** Executes all lines of the text; what is not the module's own words ends the run. */
export function* runModule(
  cpu: Cpu,
  { image, at }: LoadedModule,
  type: 'TEXT' | 'INITTEXT',
): Program {
  const index = image.sections.findIndex((section) => section.type === type);
  yield* runSection(cpu, image.id, image.sections[index]!, at[index]!);
  if (cpu.ret === 0) return;
  throw new CheckError(`cpu ${cpu.id} executes other words than module ${image.id} has in ${type}`);
}

function* freeSections(
  cpu: Cpu,
  memory: ModuleMemory,
  { image, at }: LoadedModule,
  init: boolean,
): Program {
  for (const [index, section] of image.sections.entries()) {
    if (isInit(section) === init) yield memory.free(cpu, section.type, at[index]!);
  }
}

/** delete_module. */
export function* unloadModule(cpu: Cpu, parts: LoaderParts, loaded: LoadedModule): Program {
  cpu.begin(Metric.ModuleUnload);
  cpu.spend(Cost.Syscall);
  yield* underMutex(cpu, parts);
  yield parts.rcu.synchronize(cpu);
  yield* freeSections(cpu, parts.memory, loaded, false);
  cpu.end(Metric.ModuleUnload);
}
