/**
 * Processes on the step engine for tests of mm: real page tables, and a TLB per CPU that keeps an
 * entry as long as it may (until the DSB after a matching TLBI). Every access through it must reach
 * a frame that somebody holds: a page given back before its flush is complete is caught.
 */

import { expect } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import {
  EventKind,
  FaultKind,
  isBroadcast,
  Level,
  Register,
  Tlbi,
} from '../../../../src/cpu/operations.ts';
import { bootPageAllocator } from '../../../../src/kernel/base/boot-page-allocator.ts';
import { PageAllocator } from '../../../../src/kernel/base/page-allocator.ts';
import { rcuExitIdle } from '../../../../src/kernel/base/rcu.ts';
import { bootRcu, Rcu } from '../../../../src/kernel/base/rcu-callbacks.ts';
import { auditPages } from '../../../../src/kernel/base/zone-audit.ts';
import { type AddressSpace, makeAddressSpace } from '../../../../src/kernel/mm/address-space.ts';
import { bootAsids, switchMm } from '../../../../src/kernel/mm/asid.ts';
import { installFaultHandler } from '../../../../src/kernel/mm/fault.ts';
import { bootMm, type MmImage } from '../../../../src/kernel/mm/mm-struct.ts';
import { freeTable } from '../../../../src/kernel/mm/mmu-gather.ts';
import { makeNumaPolicy } from '../../../../src/kernel/mm/numa-policy.ts';
import type { MmOptions } from '../../../../src/kernel/mm/options.ts';
import { makeShootdown } from '../../../../src/kernel/mm/shootdown.ts';
import { vaOf } from '../../../../src/kernel/mm/virtual-address.ts';
import { bootSmp, type SmpImage } from '../../../../src/kernel/smp/call-function.ts';
import { CallNumber, openKernelSmp } from '../../../../src/kernel/smp/functions.ts';
import { makeQueuedSpinlock } from '../../../../src/sync/qspinlock.ts';
import { GRANULE_4K } from '../../../../src/translation/granule.ts';
import { softwareWalk } from '../../../../src/translation/software-walk.ts';
import { s1Permissions } from '../../../../src/translation/stage1-descriptors.ts';
import type { StepCpu, Translation } from '../../../support/step-cpu.ts';
import { StepEngine } from '../../../support/step-engine.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

const WRITE = 2;

export interface WorldOptions {
  readonly seed: number;
  readonly cpuCount?: number;
  readonly threads?: boolean;
  readonly areaBytes?: number;
  readonly options?: Partial<MmOptions>;
  readonly tlbirange?: boolean;
  readonly memoryPolicy?: 'first-touch' | 'interleave' | 'bind';
  readonly bindNode?: number;
  readonly movableBytes?: number;
  /** Takes every TLBI for done and flushes nothing: shows that the stale check can fail. */
  readonly brokenTlbi?: boolean;
  /** No broadcasts: other CPUs are told by IPI, or (wrongly) not at all. */
  readonly shootdown?: 'ipi' | 'local';
  readonly prepare?: (engine: StepEngine) => void;
}

interface Entry {
  readonly page: number;
  readonly pages: number;
  readonly asid: number;
  readonly paHi: number;
  readonly paLo: number;
  readonly writable: boolean;
}

interface Flush {
  readonly isLocal: boolean;
  readonly takes: (entry: Entry) => boolean;
}

export class World {
  readonly engine: StepEngine;
  readonly mms: readonly MmImage[];
  readonly options: WorldOptions;
  /** TLBIs issued, by operation. */
  readonly tlbis = new Map<Tlbi, number>();
  /** Frames that somebody holds. */
  readonly #held = new Set<string>();
  readonly #tlbs: Entry[][];
  readonly #pending: Flush[][];
  readonly #rcuImage;
  readonly #allocatorImage;
  readonly #asids;
  readonly #zeroPage;
  readonly #policy;
  readonly #smp: SmpImage | null;

  constructor(options: WorldOptions) {
    this.options = options;
    const cpuCount = options.cpuCount ?? 2;
    this.#tlbs = Array.from({ length: cpuCount }, () => []);
    this.#pending = Array.from({ length: cpuCount }, () => []);
    const engine = new StepEngine({
      machine: makeTestMachine({
        cpuCount,
        nodeCount: Math.min(2, cpuCount),
        features: { tlbirange: options.tlbirange ?? false },
      }),
      seed: options.seed,
      backedBytes: 2 << 20,
      translateHost: (cpu, hi, lo, write) => this.#translate(cpu, hi, lo, write),
      onTlbi: (cpu, op, hi, lo, count) => this.#tlbi(cpu, op, hi, lo, count),
      onDsb: (cpu) => this.#dsb(cpu),
      onEvent: (_, kind, hi, lo) => this.#event(kind, hi, lo),
    });
    this.engine = engine;
    const cpus = engine.cpus.map(({ id }) => id);
    const lock = makeQueuedSpinlock();
    this.mms = (options.threads ? [0] : cpus).map((id) =>
      bootMm(engine.boot, {
        name: `mm${id}`,
        node: engine.machine.nodeOfCpu[id]!,
        slots: cpuCount,
        areaBytes: options.areaBytes ?? 2 ** 21,
        pageTableLock: lock,
      }),
    );
    this.#asids = bootAsids(engine.boot, 0, cpuCount, lock);
    this.#rcuImage = bootRcu(engine.boot, 0, cpus);
    this.#zeroPage = engine.boot.allocateUnbacked(0, 4096);
    this.#held.add(frameOf(this.#zeroPage.hi, this.#zeroPage.lo));
    this.#policy = makeNumaPolicy(
      engine.machine,
      options.memoryPolicy ?? 'first-touch',
      options.bindNode ?? 0,
    );
    this.#smp = options.shootdown === 'ipi' ? bootSmp(engine.boot, cpus) : null;
    options.prepare?.(engine);
    this.#allocatorImage = bootPageAllocator(engine.boot, {
      zoneLock: lock,
      movableBytes: options.movableBytes ?? 8 << 20,
      listSize: { batch: 7, high: 14, highMax: 28 },
    });
  }

  /** Runs one program per CPU, each in its process (or in the one that all share). */
  run(program: (cpu: Cpu, space: AddressSpace, slot: number) => Program): void {
    const start = (cpu: Cpu) => this.#task(cpu, program);
    this.engine.run(this.engine.cpus.map(() => start));
  }

  *#task(cpu: Cpu, program: (cpu: Cpu, space: AddressSpace, slot: number) => Program): Program {
    const pages = new PageAllocator(this.#allocatorImage, makeQueuedSpinlock());
    const rcu = new Rcu(this.#rcuImage, [(self, hi, lo) => freeTable(self, pages, hi, lo)]);
    const mm = this.mms[this.options.threads ? 0 : cpu.id]!;
    const calls =
      this.#smp === null ? null : openKernelSmp(cpu, this.engine.machine, this.#smp).calls;
    const byIpi = this.options.shootdown !== undefined;
    const space = makeAddressSpace({
      mm,
      machine: this.engine.machine,
      pages,
      rcu,
      freeTableFunction: 0,
      options: { mmapLock: 'per-vma', thp: 'never', pageLists: 'auto', ...this.options.options },
      policy: this.#policy,
      zeroPage: this.#zeroPage,
      shootdown: byIpi ? makeShootdown(calls, CallNumber.Shootdown) : null,
    });
    installFaultHandler(cpu, space);
    yield* switchMm(cpu, mm, this.#asids, makeQueuedSpinlock());
    while (!rcuExitIdle(cpu)) yield;
    yield program(cpu, space, this.options.threads ? cpu.id : 0);
    yield rcu.finish(cpu);
    if (calls !== null) yield* calls.leave(cpu);
  }

  /** Does the CPU still translate the address through an entry that it has? */
  remembers(cpu: number, address: number): boolean {
    const page = Math.floor(address / 4096);
    return this.#tlbs[cpu]!.some((e) => page >= e.page && page < e.page + e.pages);
  }

  /** Pages held at the end: [with bytes, without]. */
  allocated(): readonly [number, number] {
    const census = auditPages(this.#allocatorImage, (hi, lo) => this.engine.memory.peek32(hi, lo));
    const sum = (type: number) =>
      census.reduce((pages, row) => pages + (row.type === type ? row.allocated : 0), 0);
    return [sum(0), sum(1)];
  }

  #event(kind: number, hi: number, lo: number): void {
    if (kind !== EventKind.FrameAllocated && kind !== EventKind.FrameFreed) return;
    const order = lo & 0xfff;
    for (let page = 0; page < 1 << order; page++) {
      const frame = frameOf(hi, (lo & ~0xfff) + page * 4096);
      if (kind === EventKind.FrameAllocated) this.#held.add(frame);
      else this.#held.delete(frame);
    }
  }

  #translate(cpu: StepCpu, hi: number, lo: number, write: boolean): Translation {
    const page = Math.floor(vaOf(hi, lo) / 4096);
    const { tag, paHi, paLo } = cpu.roots.get(Register.Ttbr0)!;
    const tlb = this.#tlbs[cpu.id]!;
    let entry = tlb.find((e) => e.asid === tag && page >= e.page && page < e.page + e.pages);
    if (entry === undefined) {
      const table = { root: { hi: paHi, lo: paLo }, granule: GRANULE_4K };
      const walk = softwareWalk(
        this.engine.memory,
        { ...table, startLevel: 0, inputBits: 48 },
        hi,
        lo,
      );
      if (walk.fault !== 'none') return fault(FaultKind.Translation | walk.level);
      const pages = 2 ** (walk.shift - 12);
      entry = {
        page: page - (page % pages),
        pages,
        asid: tag,
        paHi: walk.output.hi,
        paLo: (walk.output.lo & ~(2 ** walk.shift - 1)) | 0,
        writable: (s1Permissions(walk.hi, walk.lo) & WRITE) !== 0,
      };
      tlb.push(entry);
    }
    if (write && !entry.writable) {
      // An entry that says no is looked up again: hardware may, and the kernel counts on it.
      tlb.splice(tlb.indexOf(entry), 1);
      return fault(FaultKind.Permission | 3);
    }
    const outLo = (entry.paLo + (page - entry.page) * 4096 + (lo & 0xfff)) | 0;
    const frame = frameOf(entry.paHi, outLo);
    expect(this.#held.has(frame), `cpu ${cpu.id} reaches freed frame ${frame}`).toBe(true);
    return { ok: true, paHi: entry.paHi, paLo: outLo };
  }

  #tlbi(cpu: StepCpu, op: Tlbi, hi: number, lo: number, count: number): void {
    this.tlbis.set(op, (this.tlbis.get(op) ?? 0) + 1);
    if (this.options.brokenTlbi) return;
    const asid = cpu.roots.get(Register.Ttbr0)!.tag;
    const first = Math.floor(vaOf(hi, lo) / 4096);
    const last = first + (op === Tlbi.RvaE1Is ? count : 1);
    const isAll = op === Tlbi.AsidE1Is || op === Tlbi.VmallHost;
    this.#pending[cpu.id]!.push({
      isLocal: !isBroadcast(op),
      takes: (e) => e.asid === asid && (isAll || (e.page < last && e.page + e.pages > first)),
    });
  }

  #dsb(cpu: StepCpu): void {
    for (const { isLocal, takes } of this.#pending[cpu.id]!.splice(0)) {
      for (const tlb of isLocal ? [this.#tlbs[cpu.id]!] : this.#tlbs) {
        for (let i = tlb.length - 1; i >= 0; i--) if (takes(tlb[i]!)) tlb.splice(i, 1);
      }
    }
  }
}

function fault(fsc: number): Translation {
  return { ok: false, level: Level.Host, fsc, ipaHi: 0, ipaLo: 0 };
}

function frameOf(paHi: number, paLo: number): string {
  return `${paHi}:${(paLo & ~0xfff) >>> 0}`;
}
