/**
 * allocator=execmem-rox: a cache of pages that are read-only and executable from the beginning
 * (mm/execmem.c: execmem_cache_alloc, execmem_cache_populate, v6.13, 2e45474ab14f;
 * execmem_alloc_rw, __execmem_cache_free and its delayed retry, v6.17). One mutex, a tree of busy
 * and one of free areas, in pages, first fit; whoever allocates flushes nothing and changes no
 * permission. Modules take pages writable for the time of loading, which splits the large mapping.
 *
 * Deviations: the trees are the project's own, not maple trees. Workers run in the calls of the CPU
 * that queued them: the retry at its first call 10 ms later, the clean worker at once. Only areas
 * of vmalloc that are free as a whole go back (the kernel looks at alignment alone). Large pages
 * that were split stay so (x86 collapses them from v6.15 on).
 */

import { PS_PER_MS } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeMutex } from '../../sync/mutex.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { AreaField } from '../base/area-tree.ts';
import { EINVAL, ENOENT, ENOMEM } from '../base/errno.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import { SET_NO_EXECUTE, SET_WRITABLE } from '../linear-map/set-memory.ts';
import { readArea } from '../vmalloc/address-space.ts';
import { allocateInReach } from '../vmalloc/in-reach.ts';
import { AreaPool } from './area-pool.ts';
import { type ExecutableMemory, trapWord } from './executable-memory.ts';
import { type Area, distance, FreeAreas } from './free-areas.ts';
import { pagesOf } from './module-alloc.ts';
import type { ExecmemParts } from './parts.ts';
import { canSplit, makeReadOnlyExecutable } from './protect.ts';

/** FREE_DELAY. */
const RETRY_AFTER_PS = 10 * PS_PER_MS;
/** In a busy area's node: freed, but its pages could not be filled yet. */
const PENDING = AreaField.Owner;
/** Above every kernel address. */
const HIGHEST: Address = { hi: -1, lo: -1 };

/** What the cache keeps; linear-map addresses. */
export interface RoxImage {
  readonly mutex: Address;
  readonly freeRoot: Address;
  readonly busyRoot: Address;
}

export const ROX_BYTES = makeMutex().bytes + 192;

export function bootRox(boot: BootMemory, node: number): RoxImage {
  const mutex = boot.allocateNamed('execmem_cache.mutex', node, Math.max(64, makeMutex().bytes));
  makeMutex().init?.(boot, mutex);
  const words = toLinear(boot.allocateNamed('execmem_cache', node, 64));
  return { mutex: toLinear(mutex), freeRoot: words, busyRoot: addBytes(words, 8) };
}

/** The steps that mutants and tests replace. */
export interface RoxSteps {
  /** execmem_force_rw. ret = 0 or -ENOMEM. */
  makeWritable(cpu: Cpu, parts: ExecmemParts, at: Address, pages: number): Program;
}

export const roxSteps: RoxSteps = {
  *makeWritable(cpu, { setMemory }, at, pages) {
    yield* setMemory.change(cpu, at, pages, SET_NO_EXECUTE);
    if (cpu.ret === 0) yield* setMemory.change(cpu, at, pages, SET_WRITABLE);
  },
};

export function makeRoxCache(parts: ExecmemParts, steps: RoxSteps = roxSteps): ExecutableMemory {
  const cache = new RoxCache(parts, steps);
  return {
    writesInPlace: false,
    allocate: (cpu, bytes) => cache.allocate(cpu, bytes),
    *install(cpu, hi, lo, bytes, source) {
      cpu.begin(Metric.BpfLoadPoke);
      yield* parts.poke.write(cpu, hi, lo, bytes, source);
      yield* parts.smp.flushIcacheRange(cpu, hi, lo, bytes);
      cpu.end(Metric.BpfLoadPoke);
      cpu.ret = 0;
    },
    free: (cpu, hi, lo) => cache.free(cpu, { hi, lo }),
  };
}

export class RoxCache {
  readonly #parts: ExecmemParts;
  readonly #steps: RoxSteps;
  readonly #mutex: Lock = makeMutex();
  readonly #pool: AreaPool;
  readonly #free: FreeAreas;
  readonly #busy: FreeAreas;
  /** This CPU's delayed work; null: none is queued. */
  #retryAt: number | null = null;

  constructor(parts: ExecmemParts, steps: RoxSteps = roxSteps) {
    this.#parts = parts;
    this.#steps = steps;
    const { rox, areaPool } = parts.image;
    this.#pool = new AreaPool(areaPool, makeQueuedSpinlock());
    this.#free = new FreeAreas(rox.freeRoot, this.#pool, PAGE_SHIFT, parts.steps.areas);
    this.#busy = new FreeAreas(rox.busyRoot, this.#pool, PAGE_SHIFT);
  }

  /** execmem_cache_alloc: read-only, executable, full of traps. */
  *allocate(cpu: Cpu, wanted: number): Program {
    const { mutex } = this.#parts.image.rox;
    const bytes = pagesOf(wanted) * PAGE_BYTES;
    yield* this.#runDelayedWork(cpu);
    yield* this.#mutex.acquire(cpu, mutex.hi, mutex.lo);
    yield* this.#take(cpu, bytes);
    if (cpu.ret === -ENOENT) {
      yield* this.#populate(cpu, bytes);
      if (cpu.ret === 0) yield* this.#take(cpu, bytes);
    }
    const { hi, lo, ret } = cpu;
    yield* this.#mutex.release(cpu, mutex.hi, mutex.lo);
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = ret;
  }

  /** execmem_alloc_rw: writable and not executable, until restore. */
  *allocateWritable(cpu: Cpu, wanted: number): Program {
    yield* this.allocate(cpu, wanted);
    if (cpu.ret < 0) return;
    const at = { hi: cpu.hi, lo: cpu.lo };
    yield* this.#steps.makeWritable(cpu, this.#parts, at, pagesOf(wanted));
    const { ret } = cpu;
    if (ret < 0) yield* this.free(cpu, at);
    cpu.hi = at.hi;
    cpu.lo = at.lo;
    cpu.ret = ret;
  }

  /** execmem_restore_rox. */
  *restore(cpu: Cpu, at: Address, bytes: number): Program {
    yield* this.#parts.smp.flushIcacheRange(cpu, at.hi, at.lo, bytes);
    yield* makeReadOnlyExecutable(cpu, this.#parts, at, pagesOf(bytes), true);
  }

  /** A node and its place in the busy tree; ret as FreeAreas.cutLowest. */
  *#take(cpu: Cpu, bytes: number): Program {
    yield* this.#pool.take(cpu);
    if (cpu.ret < 0) return;
    const node = { hi: cpu.hi, lo: cpu.lo };
    yield* this.#free.cutLowest(cpu, bytes, PAGE_SHIFT);
    if (cpu.ret < 0) {
      const { ret } = cpu;
      yield* this.#pool.give(cpu, node);
      cpu.ret = ret;
      return;
    }
    const start = { hi: cpu.hi, lo: cpu.lo };
    while (!cpu.store32(node.hi, node.lo + PENDING, 0, Order.Relaxed)) yield;
    yield* this.#busy.insert(cpu, node, start, bytes);
    cpu.hi = start.hi;
    cpu.lo = start.lo;
    cpu.ret = 0;
  }

  /** execmem_cache_populate: whole PMDs, or the exact size if memory does not allow it. */
  *#populate(cpu: Cpu, bytes: number): Program {
    const { machine, vmalloc } = this.#parts;
    yield* this.#pool.take(cpu);
    if (cpu.ret < 0) return;
    const node = { hi: cpu.hi, lo: cpu.lo };
    const { pmdBytes } = this.#parts.image;
    let size = Math.ceil(bytes / pmdBytes) * pmdBytes;
    yield* this.#vmalloc(cpu, size, Math.log2(pmdBytes));
    if (cpu.ret < 0) {
      size = bytes;
      yield* this.#vmalloc(cpu, size, PAGE_SHIFT);
    }
    if (cpu.ret < 0) {
      yield* this.#pool.give(cpu, node);
      cpu.ret = -ENOMEM;
      return;
    }
    const start = { hi: cpu.hi, lo: cpu.lo };
    cpu.count(Counter.ExecmemPopulated, 1);
    yield* this.#parts.steps.fill(cpu, start.hi, start.lo, size, trapWord(machine));
    yield* this.#synchroniseCode(cpu, start, size);
    yield* makeReadOnlyExecutable(cpu, this.#parts, start, size / PAGE_BYTES, true);
    if (cpu.ret < 0) {
      yield* vmalloc.free(cpu, start.hi, start.lo);
      yield* this.#pool.give(cpu, node);
      cpu.ret = -ENOMEM;
      return;
    }
    yield* this.#free.add(cpu, node, start, size);
  }

  *#vmalloc(cpu: Cpu, bytes: number, alignShift: number): Program {
    const { machine, image, vmalloc } = this.#parts;
    yield* allocateInReach(cpu, vmalloc, image.reach.ranges, {
      bytes,
      alignShift,
      node: cpu.node,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
      huge: canSplit(machine, image.options),
      resetPermissions: true,
    });
  }

  /** x86 keeps instructions coherent: the flush that follows is enough. */
  *#synchroniseCode(cpu: Cpu, at: Address, bytes: number): Program {
    const { machine, smp } = this.#parts;
    if (machine.architecture === 'x86') return;
    yield* smp.flushIcacheRange(cpu, at.hi, at.lo, bytes);
  }

  /** execmem_cache_free. ret = 0, or -EINVAL: nothing in use starts there. */
  *free(cpu: Cpu, start: Address): Program {
    const { mutex } = this.#parts.image.rox;
    yield* this.#runDelayedWork(cpu);
    yield* this.#mutex.acquire(cpu, mutex.hi, mutex.lo);
    const area = yield* this.#busyAt(cpu, start);
    let result = -EINVAL;
    if (area !== null && distance(area.start, start) === 0) {
      result = 0;
      yield* this.#freeArea(cpu, area);
      if (cpu.ret < 0) {
        while (!cpu.store32(area.node.hi, area.node.lo + PENDING, 1, Order.Relaxed)) yield;
        this.#retryAt ??= cpu.deadline(RETRY_AFTER_PS);
      }
    }
    yield* this.#mutex.release(cpu, mutex.hi, mutex.lo);
    cpu.ret = result;
  }

  *#busyAt(cpu: Cpu, at: Address): Generator<Program | undefined, Area | null, undefined> {
    yield* this.#busy.tree.atOrBelow(cpu, at.hi, at.lo);
    if (cpu.ret < 0) return null;
    return yield* this.#busy.read(cpu, { hi: cpu.hi, lo: cpu.lo });
  }

  /** __execmem_cache_free: writable, traps, executable again, free. ret = 0 or -ENOMEM. */
  *#freeArea(cpu: Cpu, { node, start, bytes }: Area): Program {
    const { machine } = this.#parts;
    yield* this.#steps.makeWritable(cpu, this.#parts, start, bytes / PAGE_BYTES);
    if (cpu.ret < 0) return;
    yield* this.#parts.steps.fill(cpu, start.hi, start.lo, bytes, trapWord(machine));
    yield* this.#synchroniseCode(cpu, start, bytes);
    yield* makeReadOnlyExecutable(cpu, this.#parts, start, bytes / PAGE_BYTES, true);
    if (cpu.ret < 0) return;
    yield* this.#busy.tree.remove(cpu, node.hi, node.lo);
    yield* this.#free.add(cpu, node, start, bytes);
    yield* this.#clean(cpu, { hi: cpu.hi, lo: cpu.lo });
    cpu.ret = 0;
  }

  /** execmem_cache_clean: an area of vmalloc that is free as a whole goes back. */
  *#clean(cpu: Cpu, node: Address): Program {
    const { vmalloc, image } = this.#parts;
    const { start, bytes } = yield* this.#free.read(cpu, node);
    if ((start.lo >>> 0) % image.pmdBytes !== 0 || bytes % image.pmdBytes !== 0) return;
    yield* vmalloc.space.find(cpu, start.hi, start.lo, false);
    if (cpu.ret < 0) return;
    yield* readArea(cpu, { hi: cpu.hi, lo: cpu.lo });
    const areaBytes = cpu.ret * PAGE_BYTES;
    const isWhole = distance({ hi: cpu.hi, lo: cpu.lo }, start) === 0;
    if (!isWhole || areaBytes !== bytes + PAGE_BYTES) return;
    yield* this.#free.cutAt(cpu, start, bytes);
    yield* vmalloc.free(cpu, start.hi, start.lo);
  }

  *#runDelayedWork(cpu: Cpu): Program {
    if (this.#retryAt === null || !cpu.expired(this.#retryAt)) return;
    yield* this.retry(cpu);
  }

  /** execmem_cache_free_slow: what is pending, again; ret = areas that still are. */
  *retry(cpu: Cpu): Program {
    const { mutex } = this.#parts.image.rox;
    yield* this.#mutex.acquire(cpu, mutex.hi, mutex.lo);
    let failed = 0;
    let from = HIGHEST;
    for (;;) {
      const area = yield* this.#busyAt(cpu, from);
      if (area === null) break;
      from = addBytes(area.start, -1);
      while (!cpu.load32(area.node.hi, area.node.lo + PENDING, Order.Relaxed)) yield;
      if (cpu.lo === 0) continue;
      yield* this.#freeArea(cpu, area);
      if (cpu.ret < 0) failed++;
    }
    yield* this.#mutex.release(cpu, mutex.hi, mutex.lo);
    this.#retryAt = failed > 0 ? cpu.deadline(RETRY_AFTER_PS) : null;
    cpu.ret = failed;
  }
}
