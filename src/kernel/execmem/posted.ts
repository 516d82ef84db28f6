/**
 * allocator=execmem-posted: execmem_alloc, execmem_fill, execmem_free as posted (bpf-next v2 1/5,
 * S. Liu, 2022-11-07). Free text is one tree of 64-byte chunks; when nothing fits, blocks of
 * PMD_SIZE x online nodes come from vmalloc, are zeroed, made read-only and executable once, and
 * join the tree. What is in use is in vmalloc's vmap_area_root with vm == NULL.
 *
 * Its mistakes are steps of their own (posted-steps.ts). A vm that is read on the list after it was
 * freed stops the run, as KASAN would.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { AreaField, AreaTree } from '../base/area-tree.ts';
import { EINVAL, ENOENT, ENOMEM, EOPNOTSUPP } from '../base/errno.ts';
import { zeroPages } from '../base/page-operations.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { SET_NO_EXECUTE, SET_WRITABLE } from '../linear-map/set-memory.ts';
import { fillWith } from '../patching/text-poke.ts';
import { VmapField, VmapFlag } from '../vmalloc/image.ts';
import { allocateInReach } from '../vmalloc/in-reach.ts';
import { AreaPool } from './area-pool.ts';
import { CHUNK_BYTES, CHUNK_SHIFT, roundToChunks } from './chunk.ts';
import { type ExecutableMemory, trapWord } from './executable-memory.ts';
import { distance, FreeAreas } from './free-areas.ts';
import type { ExecmemParts } from './parts.ts';
import { TextVm } from './posted-image.ts';
import { fixedSteps, type PostedSteps, postedSteps } from './posted-steps.ts';
import { canSplit, makeReadOnlyExecutable } from './protect.ts';

/** More vms than any machine here has. */
const LIST_MAX = 4096;

export function makePosted(
  parts: ExecmemParts,
  steps: PostedSteps = postedSteps,
): ExecutableMemory {
  const posted = new PostedExecmem(parts, steps);
  return {
    writesInPlace: false,
    allocate: (cpu, bytes) => posted.allocate(cpu, bytes, CHUNK_SHIFT),
    *install(cpu, hi, lo, bytes, source) {
      cpu.begin(Metric.BpfLoadPoke);
      yield* posted.checkFill(cpu, { hi, lo }, bytes);
      if (cpu.ret === 0) {
        yield* parts.poke.write(cpu, hi, lo, bytes, source);
        yield* parts.smp.flushIcacheRange(cpu, hi, lo, bytes);
        cpu.ret = 0;
      }
      cpu.end(Metric.BpfLoadPoke);
    },
    free: (cpu, hi, lo) => posted.free(cpu, { hi, lo }),
  };
}

/** The same with its mistakes corrected. */
export function makePostedFixed(parts: ExecmemParts): ExecutableMemory {
  return makePosted(parts, fixedSteps);
}

class PostedExecmem {
  readonly #parts: ExecmemParts;
  readonly #steps: PostedSteps;
  readonly #lock: Lock = makeQueuedSpinlock();
  readonly #pool: AreaPool;
  readonly #free: FreeAreas;
  /** vmap_area_root, which vmalloc shares: only order matters there, so units may differ. */
  readonly #busy: AreaTree;

  constructor(parts: ExecmemParts, steps: PostedSteps) {
    this.#parts = parts;
    this.#steps = steps;
    this.#pool = new AreaPool(parts.image.areaPool, this.#lock);
    const { posted } = parts.image;
    this.#free = new FreeAreas(posted.freeRoot, this.#pool, CHUNK_SHIFT, parts.steps.areas);
    this.#busy = new AreaTree(parts.image.vmalloc.busyRoot, CHUNK_SHIFT);
  }

  /** execmem_alloc. */
  *allocate(cpu: Cpu, wanted: number, alignShift: number): Program {
    const { lock: words } = this.#parts.image.posted;
    const bytes = roundToChunks(wanted);
    yield* this.#pool.take(cpu);
    if (cpu.ret < 0) return;
    const area = { hi: cpu.hi, lo: cpu.lo };
    for (;;) {
      yield* this.#lock.acquire(cpu, words.hi, words.lo);
      yield* this.#free.cutLowest(cpu, bytes, alignShift);
      if (cpu.ret !== -ENOENT) break;
      yield* this.#lock.release(cpu, words.hi, words.lo);
      yield* this.#populate(cpu, bytes);
      if (cpu.ret < 0) {
        yield* this.#steps.leaveFailed(cpu, this.#lock, this.#parts.image.posted);
        yield* this.#pool.give(cpu, area);
        cpu.ret = -ENOMEM;
        return;
      }
    }
    const { hi, lo, ret } = cpu;
    yield* this.#lock.release(cpu, words.hi, words.lo);
    if (ret < 0) {
      yield* this.#pool.give(cpu, area);
      cpu.ret = ret;
      return;
    }
    yield* this.#publish(cpu, area, { hi, lo }, bytes);
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = 0;
  }

  /** insert_vmap_area into vmap_area_root, vm == NULL. */
  *#publish(cpu: Cpu, { hi, lo }: Address, start: Address, bytes: number): Program {
    const { busyLock } = this.#parts.image.vmalloc;
    while (!cpu.store64(hi, lo + AreaField.Start, start.hi, start.lo, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + AreaField.Units, bytes / CHUNK_BYTES, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + VmapField.Flags, VmapFlag.NoVm, Order.Relaxed)) yield;
    yield* this.#lock.acquire(cpu, busyLock.hi, busyLock.lo);
    yield* this.#busy.insert(cpu, hi, lo);
    yield* this.#lock.release(cpu, busyLock.hi, busyLock.lo);
  }

  /** New text: __vmalloc_node_range and move_vmap_to_free_text_tree. ret = 0 or -ENOMEM. */
  *#populate(cpu: Cpu, wanted: number): Program {
    const { machine, vmalloc, image } = this.#parts;
    yield* this.#pool.take(cpu);
    if (cpu.ret < 0) return;
    const spare = { hi: cpu.hi, lo: cpu.lo };
    yield* this.#pool.take(cpu);
    const vm = { hi: cpu.hi, lo: cpu.lo };
    const unit = image.pmdBytes * machine.nodeCount;
    const bytes = Math.ceil(wanted / unit) * unit;
    if (cpu.ret === 0) {
      yield* allocateInReach(cpu, vmalloc, this.#steps.ranges(image.reach), {
        bytes,
        alignShift: Math.log2(image.pmdBytes),
        node: cpu.node,
        attributesHi: S1_KERNEL_DATA_HI,
        attributesLo: S1_KERNEL_DATA_LO,
        huge: canSplit(machine, image.options),
        guard: false,
      });
      if (cpu.ret < 0) yield* this.#giveKeepingRet(cpu, vm);
    }
    if (cpu.ret < 0) {
      yield* this.#giveKeepingRet(cpu, spare);
      return;
    }
    const start = { hi: cpu.hi, lo: cpu.lo };
    cpu.count(Counter.ExecmemPopulated, 1);
    yield* this.#moveToFreeText(cpu, vm, spare, start, bytes);
    cpu.ret = 0;
  }

  *#giveKeepingRet(cpu: Cpu, node: Address): Program {
    const { ret } = cpu;
    yield* this.#pool.give(cpu, node);
    cpu.ret = ret;
  }

  /** move_vmap_to_free_text_tree. */
  *#moveToFreeText(cpu: Cpu, vm: Address, spare: Address, start: Address, bytes: number): Program {
    const { vmalloc, image } = this.#parts;
    const { posted } = image;
    yield* vmalloc.space.find(cpu, start.hi, start.lo, true);
    assert(cpu.ret === 0, 'vmalloc has lost what it just gave');
    const area = { hi: cpu.hi, lo: cpu.lo };
    yield* zeroPages(cpu, start.hi, start.lo, bytes, true);
    yield* makeReadOnlyExecutable(cpu, this.#parts, start, bytes / PAGE_BYTES, false);
    assert(cpu.ret === 0, 'set_memory of whole blocks cannot fail');
    const chunks = bytes / CHUNK_BYTES;
    while (!cpu.store64(vm.hi, vm.lo + TextVm.Start, start.hi, start.lo, Order.Relaxed)) yield;
    while (!cpu.store32(vm.hi, vm.lo + TextVm.Chunks, chunks, Order.Relaxed)) yield;
    while (!cpu.store64(vm.hi, vm.lo + TextVm.VmapArea, area.hi, area.lo, Order.Relaxed)) yield;
    yield* this.#steps.addVm(cpu, this.#lock, posted, vm);
    yield* this.#lock.acquire(cpu, posted.lock.hi, posted.lock.lo);
    yield* this.#free.add(cpu, spare, start, bytes);
    yield* this.#lock.release(cpu, posted.lock.hi, posted.lock.lo);
  }

  /** execmem_fill up to arch_fill_execmem: ret = 0, -EINVAL or -EOPNOTSUPP. */
  *checkFill(cpu: Cpu, destination: Address, bytes: number): Program {
    const { image } = this.#parts;
    const { busyLock } = image.vmalloc;
    yield* this.#lock.acquire(cpu, busyLock.hi, busyLock.lo);
    yield* this.#busy.atOrBelow(cpu, destination.hi, destination.lo);
    let isOne = cpu.ret === 0;
    if (isOne) {
      const area = yield* this.#free.read(cpu, { hi: cpu.hi, lo: cpu.lo });
      while (!cpu.load32(area.node.hi, area.node.lo + VmapField.Flags, Order.Relaxed)) yield;
      const offset = distance(area.start, destination);
      isOne = cpu.lo === VmapFlag.NoVm && offset < area.bytes && offset + bytes <= area.bytes;
    }
    yield* this.#lock.release(cpu, busyLock.hi, busyLock.lo);
    const fillable = image.options.poke === 'none' ? -EOPNOTSUPP : 0;
    cpu.ret = isOne ? fillable : -EINVAL;
  }

  /** execmem_free. */
  *free(cpu: Cpu, start: Address): Program {
    const { image, poke, smp, machine } = this.#parts;
    const { busyLock } = image.vmalloc;
    const { posted } = image;
    yield* this.#lock.acquire(cpu, busyLock.hi, busyLock.lo);
    yield* this.#busy.atOrBelow(cpu, start.hi, start.lo);
    assert(cpu.ret === 0, 'execmem_free of what was never allocated');
    const area = yield* this.#free.read(cpu, { hi: cpu.hi, lo: cpu.lo });
    assert(distance(area.start, start) === 0, 'execmem_free of what was never allocated');
    yield* this.#busy.remove(cpu, area.node.hi, area.node.lo);
    yield* this.#lock.release(cpu, busyLock.hi, busyLock.lo);
    if (image.options.poke !== 'none') {
      const { hi, lo } = area.start;
      yield* poke.write(cpu, hi, lo, area.bytes, fillWith(trapWord(machine)));
      yield* smp.flushIcacheRange(cpu, hi, lo, area.bytes);
    }
    yield* this.#lock.acquire(cpu, posted.lock.hi, posted.lock.lo);
    yield* this.#free.add(cpu, area.node, area.start, area.bytes);
    yield* this.#lock.release(cpu, posted.lock.hi, posted.lock.lo);
    yield* this.#steps.freeVms(cpu, () => this.#freeOne(cpu, area.start));
    cpu.ret = 0;
  }

  /**
   * find_and_unlink_text_vm over the whole PMD ranges of the free area around `inside`, then its
   * pages back to vmalloc. ret = 1 if there was a vm.
   *
   * Deviation: the lock is taken anew after the merge, so that a step can repeat this.
   */
  *#freeOne(cpu: Cpu, inside: Address): Program {
    const { posted } = this.#parts.image;
    yield* this.#lock.acquire(cpu, posted.lock.hi, posted.lock.lo);
    const vm = yield* this.#unlinkFree(cpu, inside);
    if (vm !== null) yield* this.#free.cutAt(cpu, vm.start, vm.bytes);
    yield* this.#lock.release(cpu, posted.lock.hi, posted.lock.lo);
    if (vm !== null) yield* this.#vfree(cpu, vm);
    cpu.ret = vm === null ? 0 : 1;
  }

  *#unlinkFree(
    cpu: Cpu,
    inside: Address,
  ): Generator<Program | undefined, TextVmFacts | null, undefined> {
    const { posted, pmdBytes } = this.#parts.image;
    const { allTextVm } = posted;
    yield* this.#free.tree.atOrBelow(cpu, inside.hi, inside.lo);
    if (cpu.ret < 0) return null;
    const area = yield* this.#free.read(cpu, { hi: cpu.hi, lo: cpu.lo });
    const offset = (area.start.lo >>> 0) % pmdBytes;
    const before = (pmdBytes - offset) % pmdBytes;
    const end = area.bytes - ((offset + area.bytes) % pmdBytes);
    if (before >= end) return null;
    while (!cpu.load64(allTextVm.hi, allTextVm.lo, Order.Relaxed)) yield;
    let previous: Address | null = null;
    let at = { hi: cpu.hi, lo: cpu.lo };
    for (let length = 0; (at.hi | at.lo) !== 0; length++) {
      assert(length < LIST_MAX, 'all_text_vm runs in a circle');
      const vm = yield* readVm(cpu, at);
      const offset = distance(area.start, vm.start);
      if (offset >= before && offset + vm.bytes <= end) {
        yield* this.#unlink(cpu, previous, vm.next);
        return vm;
      }
      previous = at;
      at = vm.next;
    }
    return null;
  }

  *#unlink(cpu: Cpu, previous: Address | null, next: Address): Program {
    if (previous !== null) {
      yield* this.#steps.unlinkVm(cpu, previous, next);
      return;
    }
    const { hi, lo } = this.#parts.image.posted.allTextVm;
    while (!cpu.store64(hi, lo, next.hi, next.lo, Order.Relaxed)) yield;
  }

  /** set_memory_nx, set_memory_rw, and vfree; the vm_struct is freed with it. */
  *#vfree(cpu: Cpu, { node, start, bytes, area }: TextVmFacts): Program {
    const { vmalloc, setMemory } = this.#parts;
    yield* setMemory.change(cpu, start, bytes / PAGE_BYTES, SET_NO_EXECUTE);
    assert(cpu.ret === 0, 'set_memory of whole blocks cannot fail');
    yield* setMemory.change(cpu, start, bytes / PAGE_BYTES, SET_WRITABLE);
    assert(cpu.ret === 0, 'set_memory of whole blocks cannot fail');
    yield* vmalloc.space.publish(cpu, area);
    yield* vmalloc.free(cpu, start.hi, start.lo);
    while (!cpu.store32(node.hi, node.lo + TextVm.Chunks, 0, Order.Relaxed)) yield;
    yield* this.#pool.give(cpu, node);
  }
}

interface TextVmFacts {
  readonly node: Address;
  readonly next: Address;
  readonly start: Address;
  readonly bytes: number;
  /** The vmap_area of vmalloc's. */
  readonly area: Address;
}

function* readVm(cpu: Cpu, node: Address): Generator<Program | undefined, TextVmFacts, undefined> {
  while (!cpu.load32(node.hi, node.lo + TextVm.Chunks, Order.Relaxed)) yield;
  const bytes = cpu.lo * CHUNK_BYTES;
  assert(bytes > 0, 'use after free: all_text_vm leads to a vm_struct that was freed');
  while (!cpu.load64(node.hi, node.lo + TextVm.Next, Order.Relaxed)) yield;
  const next = { hi: cpu.hi, lo: cpu.lo };
  while (!cpu.load64(node.hi, node.lo + TextVm.VmapArea, Order.Relaxed)) yield;
  const area = { hi: cpu.hi, lo: cpu.lo };
  while (!cpu.load64(node.hi, node.lo + TextVm.Start, Order.Relaxed)) yield;
  return { node, next, start: addBytes({ hi: cpu.hi, lo: cpu.lo }, 0), bytes, area };
}
