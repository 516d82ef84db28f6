/**
 * allocator=typed: memory by section type (T. Gleixner's reply to the posted execmem_alloc, lore,
 * 2022-12; never merged). Every real type has a mutex, a tree of free areas, one of busy areas and
 * a list of what it took from vmalloc; section-types.ts says what the types are. What was never
 * used holds traps of another kind than what was freed.
 *
 * BPF programs are TEXT. Deviation: what is free as a whole goes back to vmalloc in the same call.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeMutex } from '../../sync/mutex.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { EINVAL, ENOENT, ENOMEM } from '../base/errno.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { SET_READ_ONLY } from '../linear-map/set-memory.ts';
import { fillWith, type PokeSource } from '../patching/text-poke.ts';
import { readArea } from '../vmalloc/address-space.ts';
import { allocateInReach } from '../vmalloc/in-reach.ts';
import { AreaPool } from './area-pool.ts';
import { CHUNK_SHIFT } from './chunk.ts';
import {
  type ExecutableMemory,
  trapWord,
  unusedTrapWord,
  writeWords,
} from './executable-memory.ts';
import { type Area, distance, FreeAreas } from './free-areas.ts';
import type { ExecmemParts } from './parts.ts';
import { canSplit, makeReadOnlyExecutable } from './protect.ts';
import { PMD_BYTES } from './scale.ts';
import {
  realType,
  SECTION_TYPES,
  type SectionRules,
  type SectionTable,
  type SectionType,
  STRICT_SECTIONS,
} from './section-types.ts';

/** What a type keeps; linear-map addresses. */
export interface TypeImage {
  readonly mutex: Address;
  readonly freeRoot: Address;
  readonly busyRoot: Address;
}

export type TypedImage = Readonly<Record<SectionType, TypeImage>>;

export const TYPED_BYTES = SECTION_TYPES.length * (makeMutex().bytes + 192);

export function bootTyped(boot: BootMemory, node: number): TypedImage {
  const images = SECTION_TYPES.map((type) => {
    const mutex = boot.allocateNamed(`${type} mutex`, node, Math.max(64, makeMutex().bytes));
    makeMutex().init?.(boot, mutex);
    const words = toLinear(boot.allocateNamed(`${type} areas`, node, 64));
    return [type, { mutex: toLinear(mutex), freeRoot: words, busyRoot: addBytes(words, 8) }];
  });
  return Object.fromEntries(images) as TypedImage;
}

export function makeTyped(parts: ExecmemParts): ExecutableMemory {
  const typed = new TypedMemory(parts);
  return {
    writesInPlace: false,
    allocate: (cpu, bytes) => typed.allocate(cpu, 'TEXT', bytes),
    *install(cpu, hi, lo, bytes, source) {
      cpu.begin(Metric.BpfLoadPoke);
      yield* typed.fill(cpu, 'TEXT', { hi, lo }, bytes, source);
      cpu.end(Metric.BpfLoadPoke);
    },
    free: (cpu, hi, lo) => typed.free(cpu, 'TEXT', { hi, lo }),
  };
}

export class TypedMemory {
  readonly #parts: ExecmemParts;
  readonly #table: SectionTable;
  readonly #mutex: Lock = makeMutex();
  readonly #pool: AreaPool;

  constructor(parts: ExecmemParts, table: SectionTable = STRICT_SECTIONS) {
    this.#parts = parts;
    this.#table = table;
    this.#pool = new AreaPool(parts.image.areaPool, makeQueuedSpinlock());
  }

  /** ret = 0 and (hi, lo) = room for a section, or ret = -ENOMEM, -EINVAL. */
  *allocate(cpu: Cpu, type: SectionType, wanted: number): Program {
    const real = this.#open(type);
    const { mutex } = real.image;
    const bytes = roundUp(wanted, real.rules.alignmentBytes);
    if (bytes <= 0) {
      cpu.ret = -EINVAL;
      return;
    }
    yield* this.#mutex.acquire(cpu, mutex.hi, mutex.lo);
    yield* this.#take(cpu, real, bytes);
    if (cpu.ret === -ENOENT) {
      yield* this.#populate(cpu, real, bytes);
      if (cpu.ret === 0) yield* this.#take(cpu, real, bytes);
    }
    const { hi, lo, ret } = cpu;
    yield* this.#mutex.release(cpu, mutex.hi, mutex.lo);
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = ret;
  }

  /** Contents of a section: through a poke if its pages are read-only. ret = 0. */
  *fill(cpu: Cpu, type: SectionType, at: Address, bytes: number, source: PokeSource): Program {
    const { rules } = this.#open(type);
    const { poke, smp } = this.#parts;
    if (rules.protection === 'data') yield* writeWords(cpu, at.hi, at.lo, bytes, source);
    else yield* poke.write(cpu, at.hi, at.lo, bytes, source);
    if (rules.protection === 'text') yield* smp.flushIcacheRange(cpu, at.hi, at.lo, bytes);
    cpu.ret = 0;
  }

  /** Init is over: what is read-only from now on. ret = 0 or -ENOMEM. */
  *seal(cpu: Cpu, type: SectionType, at: Address, bytes: number): Program {
    const { rules } = this.#open(type);
    assert(rules.sealed, `${type} has nothing to seal`);
    const pages = roundUp(bytes, PAGE_BYTES) / PAGE_BYTES;
    yield* this.#parts.setMemory.change(cpu, at, pages, SET_READ_ONLY);
  }

  /** ret = 0, or -EINVAL: no section starts there. */
  *free(cpu: Cpu, type: SectionType, start: Address): Program {
    const real = this.#open(type);
    const { mutex } = real.image;
    yield* this.#mutex.acquire(cpu, mutex.hi, mutex.lo);
    yield* real.busy.tree.atOrBelow(cpu, start.hi, start.lo);
    let result = -EINVAL;
    if (cpu.ret === 0) {
      const area = yield* real.busy.read(cpu, { hi: cpu.hi, lo: cpu.lo });
      if (distance(area.start, start) === 0) {
        result = 0;
        yield* this.#free(cpu, real, area);
      }
    }
    yield* this.#mutex.release(cpu, mutex.hi, mutex.lo);
    cpu.ret = result;
  }

  *#free(cpu: Cpu, real: RealType, { node, start, bytes }: Area): Program {
    yield* real.busy.tree.remove(cpu, node.hi, node.lo);
    yield* this.#invalidate(cpu, real.rules, start, bytes);
    yield* real.free.add(cpu, node, start, bytes);
    const merged = yield* real.free.read(cpu, { hi: cpu.hi, lo: cpu.lo });
    yield* this.#giveBack(cpu, real, merged);
  }

  /** invalidate(): traps over text, nothing over data that goes back as it is. */
  *#invalidate(cpu: Cpu, rules: SectionRules, start: Address, bytes: number): Program {
    if (rules.protection !== 'text') return;
    const { poke, smp, machine } = this.#parts;
    yield* poke.write(cpu, start.hi, start.lo, bytes, fillWith(trapWord(machine)));
    yield* smp.flushIcacheRange(cpu, start.hi, start.lo, bytes);
  }

  /** A guard page keeps areas of vmalloc apart: one is free as a whole or this is part of it. */
  *#giveBack(cpu: Cpu, real: RealType, { start, bytes }: Area): Program {
    const { vmalloc } = this.#parts;
    yield* vmalloc.space.find(cpu, start.hi, start.lo, false);
    assert(cpu.ret === 0, 'free memory of a section type is not from vmalloc');
    yield* readArea(cpu, { hi: cpu.hi, lo: cpu.lo });
    const areaBytes = cpu.ret * PAGE_BYTES;
    const isWhole = distance({ hi: cpu.hi, lo: cpu.lo }, start) === 0;
    if (!isWhole || areaBytes !== bytes + PAGE_BYTES) return;
    yield* real.free.cutAt(cpu, start, bytes);
    yield* vmalloc.free(cpu, start.hi, start.lo);
  }

  *#take(cpu: Cpu, real: RealType, bytes: number): Program {
    yield* this.#pool.take(cpu);
    if (cpu.ret < 0) return;
    const node = { hi: cpu.hi, lo: cpu.lo };
    yield* real.free.cutLowest(cpu, bytes, Math.log2(real.rules.alignmentBytes));
    const { hi, lo, ret } = cpu;
    if (ret === 0) yield* real.busy.insert(cpu, node, { hi, lo }, bytes);
    else yield* this.#pool.give(cpu, node);
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = ret;
  }

  /** More memory of a type, protected as all of it is. */
  *#populate(cpu: Cpu, { rules, free }: RealType, wanted: number): Program {
    const { vmalloc, machine, image } = this.#parts;
    yield* this.#pool.take(cpu);
    if (cpu.ret < 0) return;
    const node = { hi: cpu.hi, lo: cpu.lo };
    const isBlock = rules.granularityBytes >= PMD_BYTES;
    const granularity = Math.min(rules.granularityBytes, image.pmdBytes);
    const unit = granularity * (isBlock ? machine.nodeCount : 1);
    const bytes = roundUp(wanted, unit);
    yield* allocateInReach(cpu, vmalloc, image.reach.ranges, {
      bytes,
      alignShift: Math.log2(granularity),
      node: cpu.node,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
      huge: isBlock && canSplit(machine, image.options),
      resetPermissions: true,
    });
    if (cpu.ret < 0) {
      yield* this.#pool.give(cpu, node);
      cpu.ret = -ENOMEM;
      return;
    }
    const start = { hi: cpu.hi, lo: cpu.lo };
    cpu.count(Counter.ExecmemPopulated, 1);
    yield* this.#protect(cpu, rules, start, bytes);
    if (cpu.ret < 0) {
      yield* vmalloc.free(cpu, start.hi, start.lo);
      yield* this.#pool.give(cpu, node);
      cpu.ret = -ENOMEM;
      return;
    }
    yield* free.add(cpu, node, start, bytes);
  }

  *#protect(cpu: Cpu, { protection }: SectionRules, start: Address, bytes: number): Program {
    const { machine, smp, setMemory } = this.#parts;
    const pages = bytes / PAGE_BYTES;
    cpu.ret = 0;
    if (protection === 'text') {
      yield* this.#parts.steps.fill(cpu, start.hi, start.lo, bytes, unusedTrapWord(machine));
      if (machine.architecture === 'arm64') {
        yield* smp.flushIcacheRange(cpu, start.hi, start.lo, bytes);
      }
      yield* makeReadOnlyExecutable(cpu, this.#parts, start, pages, true);
    } else if (protection === 'rodata') {
      yield* setMemory.change(cpu, start, pages, SET_READ_ONLY);
    }
  }

  #open(type: SectionType): RealType {
    const real = realType(this.#table, type);
    const image = this.#parts.image.typed[real];
    return {
      rules: this.#table[real],
      image,
      free: new FreeAreas(image.freeRoot, this.#pool, CHUNK_SHIFT, this.#parts.steps.areas),
      busy: new FreeAreas(image.busyRoot, this.#pool, CHUNK_SHIFT),
    };
  }
}

interface RealType {
  readonly rules: SectionRules;
  readonly image: TypeImage;
  readonly free: FreeAreas;
  readonly busy: FreeAreas;
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}
