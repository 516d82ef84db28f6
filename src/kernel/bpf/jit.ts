/**
 * Loading and unloading BPF programs as far as memory and code go (kernel/bpf/core.c, v6.13:
 * bpf_prog_select_runtime, bpf_jit_charge_modmem, bpf_jit_binary_pack_finalize, bpf_prog_free;
 * arch/arm64/net/bpf_jit_comp.c). The verifier is not modelled: its time is the caller's.
 *
 * The code is words that say which program and which line they are: whoever runs a program can tell
 * whether it executes what was loaded, something older, trap filler or memory that nobody filled.
 */

import { hash32 } from '../../base/random.ts';
import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { EINVAL, EPERM } from '../base/errno.ts';
import { MAX_ORDER, PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import { MigrateType } from '../base/zone.ts';
import type { ExecutableMemory } from '../execmem/executable-memory.ts';
import { writeWords } from '../execmem/executable-memory.ts';
import type { ExecmemParts } from '../execmem/parts.ts';
import { copyFrom, type PokeSource } from '../patching/text-poke.ts';
import { VmallocRange } from '../vmalloc/image.ts';

/** sizeof(struct bpf_binary_header): a u32, the image behind it is aligned to 8 bytes. */
const HEADER_BYTES = 8;

/** Plain data. */
export interface BpfJitImage {
  /** bpf_jit_current: pages charged, a linear-map address. */
  readonly current: Address;
  /** bpf_jit_limit, in pages. */
  readonly limitPages: number;
}

/** bpf_jit_limit_max / 2 on a machine whose modules range is 2 GiB: far above any test. */
export const JIT_LIMIT_PAGES = 2 ** 18;

export function bootBpfJit(
  boot: BootMemory,
  node: number,
  limitPages = JIT_LIMIT_PAGES,
): BpfJitImage {
  return { current: toLinear(boot.allocateNamed('bpf_jit_current', node, 64)), limitPages };
}

/** A program that is loaded; its text begins with a header. */
export interface BpfText {
  readonly hi: number;
  readonly lo: number;
  readonly bytes: number;
  readonly id: number;
}

/** The first word of a line of a program's text, never a trap. */
export function lineWord(id: number, line: number): number {
  return (hash32(id, line, 0x6270, 0x66) & 0x00ffffff) | 0x91000000;
}

export class BpfJit {
  readonly #image: BpfJitImage;
  readonly #parts: ExecmemParts;
  readonly #memory: ExecutableMemory;

  constructor(image: BpfJitImage, parts: ExecmemParts, memory: ExecutableMemory) {
    this.#image = image;
    this.#parts = parts;
    this.#memory = memory;
  }

  /**
   * ret = 0 and (hi, lo) = the text; -EPERM: over the charge limit, the program is interpreted;
   * -EINVAL: no code; -ENOMEM or what the allocator says. `bytes`: of code; the text is
   * textBytes(bytes).
   */
  *load(cpu: Cpu, id: number, bytes: number): Program {
    if (bytes <= 0) {
      cpu.ret = -EINVAL;
      return;
    }
    cpu.begin(Metric.BpfLoad);
    yield* this.#load(cpu, id, textBytes(bytes));
    if (cpu.ret === 0) {
      cpu.count(Counter.BpfLoads, 1);
      cpu.count(Counter.BpfTextBytes, textBytes(bytes));
      cpu.end(Metric.BpfLoad);
    } else {
      cpu.cancel(Metric.BpfLoad);
    }
  }

  *#load(cpu: Cpu, id: number, bytes: number): Program {
    yield* this.#charge(cpu, bytes);
    if (cpu.ret < 0) {
      cpu.count(Counter.BpfFallbacks, 1);
      return;
    }
    cpu.begin(Metric.BpfLoadAlloc);
    yield this.#memory.allocate(cpu, bytes);
    cpu.end(Metric.BpfLoadAlloc);
    if (cpu.ret < 0) {
      const { ret } = cpu;
      yield* this.#uncharge(cpu, bytes);
      cpu.ret = ret;
      return;
    }
    const text = { hi: cpu.hi, lo: cpu.lo };
    const code = codeOf(id);
    if (this.#memory.writesInPlace) yield this.#memory.install(cpu, text.hi, text.lo, bytes, code);
    else yield this.#installFromBuffer(cpu, text, bytes, code);
    if (cpu.ret < 0) {
      const { ret } = cpu;
      yield this.#memory.free(cpu, text.hi, text.lo, bytes);
      yield* this.#uncharge(cpu, bytes);
      cpu.ret = ret;
      return;
    }
    cpu.hi = text.hi;
    cpu.lo = text.lo;
    cpu.ret = 0;
  }

  /** The JIT writes to a buffer of its own (kvmalloc); the copy goes through a poke. */
  *#installFromBuffer(cpu: Cpu, text: Address, bytes: number, code: PokeSource): Program {
    const order = 32 - Math.clz32(Math.ceil(bytes / PAGE_BYTES) - 1);
    yield* this.#takeBuffer(cpu, bytes, order);
    if (cpu.ret < 0) return;
    const buffer = { hi: cpu.hi, lo: cpu.lo };
    cpu.begin(Metric.BpfLoadJit);
    yield* writeWords(cpu, buffer.hi, buffer.lo, bytes, code);
    cpu.end(Metric.BpfLoadJit);
    yield this.#memory.install(cpu, text.hi, text.lo, bytes, copyFrom(buffer.hi, buffer.lo));
    const { ret } = cpu;
    yield* this.#giveBuffer(cpu, buffer, order);
    cpu.ret = ret;
  }

  /** kvmalloc: (hi, lo) = pages in a row, or an area of vmalloc beyond the largest order. */
  *#takeBuffer(cpu: Cpu, bytes: number, order: number): Program {
    const { pages, vmalloc } = this.#parts;
    if (order <= MAX_ORDER) {
      yield* pages.allocate(cpu, cpu.node, order, MigrateType.Unmovable);
      cpu.hi |= LINEAR_MAP_HI;
      return;
    }
    yield* vmalloc.allocate(cpu, {
      range: VmallocRange.Vmalloc,
      bytes: Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES,
      alignShift: PAGE_SHIFT,
      node: cpu.node,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
    });
  }

  /** kvfree. */
  *#giveBuffer(cpu: Cpu, { hi, lo }: Address, order: number): Program {
    const { pages, vmalloc } = this.#parts;
    if (order <= MAX_ORDER) yield* pages.free(cpu, hi & 0xffff, lo, order);
    else yield* vmalloc.free(cpu, hi, lo);
  }

  /** The caller has waited for everybody who could still run it (RCU). */
  *free(cpu: Cpu, { hi, lo, bytes }: BpfText): Program {
    cpu.begin(Metric.BpfFree);
    yield this.#memory.free(cpu, hi, lo, bytes);
    yield* this.#uncharge(cpu, bytes);
    cpu.end(Metric.BpfFree);
    cpu.ret = 0;
  }

  /** bpf_jit_charge_modmem. */
  *#charge(cpu: Cpu, bytes: number): Program {
    const { current, limitPages } = this.#image;
    const pages = Math.ceil(bytes / PAGE_BYTES);
    while (!cpu.add32(current.hi, current.lo, pages, Order.SequentiallyConsistent)) yield;
    if (cpu.lo + pages <= limitPages) {
      cpu.ret = 0;
      return;
    }
    yield* this.#uncharge(cpu, bytes);
    cpu.ret = -EPERM;
  }

  *#uncharge(cpu: Cpu, bytes: number): Program {
    const { current } = this.#image;
    const pages = Math.ceil(bytes / PAGE_BYTES);
    while (!cpu.add32(current.hi, current.lo, -pages, Order.SequentiallyConsistent)) yield;
  }
}

/** Header, code and room for traps, in chunks as bpf_jit_binary_pack_alloc rounds it. */
export function textBytes(codeBytes: number): number {
  return Math.ceil((HEADER_BYTES + codeBytes + 16) / LINE_BYTES) * LINE_BYTES;
}

function codeOf(id: number): PokeSource {
  return (cpu, offset) => {
    const line = Math.floor(offset / LINE_BYTES);
    cpu.lo = offset % LINE_BYTES === 0 ? lineWord(id, line) : 0x91000000 | (offset & 0xffff);
    return true;
  };
}

/** What a run of a program met; anything but 0 is a broken rule. */
export const RunResult = { Right: 0, Trap: 1, Wrong: 2 } as const;

/** Executes every line once. ret = RunResult. */
export function* runBpf(cpu: Cpu, text: BpfText, trap: number): Program {
  cpu.begin(Metric.BpfRun);
  let result: number = RunResult.Right;
  for (let offset = 0; offset < text.bytes; offset += LINE_BYTES) {
    const at = addBytes(text, offset);
    while (!cpu.fetch(at.hi, at.lo)) yield;
    if (cpu.lo === lineWord(text.id, offset / LINE_BYTES)) continue;
    result = cpu.lo === trap ? RunResult.Trap : RunResult.Wrong;
    break;
  }
  cpu.end(Metric.BpfRun);
  cpu.ret = result;
}
