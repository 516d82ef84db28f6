/**
 * Split page-table locks under stress: faults take the lock of the table that a pmd names, or put
 * a table there; others take tables out of the tree and leave them, with their locks, to RCU. A
 * table says whether it is in the tree and counts the faults in it; what leaves the tree is counted
 * out first, so at the end no fault is lost. Free tables are a bit each of one word: nobody touches
 * what is free.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { rcuExitIdle } from '../../kernel/base/rcu.ts';
import { bootRcu, Rcu, type RcuImage } from '../../kernel/base/rcu-callbacks.ts';
import {
  bootPteTables,
  descriptorLo,
  PMD_BYTES,
  PteLock,
  type PteLockSteps,
  type PteTablesImage,
  pteLockSteps,
} from '../../kernel/mm/pte-lock.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { checkCount, LOST_UPDATE } from '../oracles/lost-update.ts';
import { TORN_READ } from '../oracles/torn-read.ts';
import type { Memory, Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { raise } from './critical-section.ts';
import { shapeOf } from './target-shape.ts';

const PAGE_BYTES = 4096;
const TABLES = 8;
const ROOM_BYTES = 65536;
/** Offsets in a table: 1 while it is in the tree, or about to be; the faults in it. */
const Table = { Owner: 64, Count: 128 } as const;
const FAULTED = 'fault under the lock of a table';
const RETRACTED = 'table taken out';
const FREED = 'table freed by RCU';
const SECOND = 'another has put a table there';

export type FreeTable = (cpu: Cpu, tableHi: number, tableLo: number) => Program;
/** What a mutant replaces; it is told how a table is freed. */
export type PteLockChange = (free: FreeTable) => Partial<PteLockSteps>;

export function pteLockTarget(change: PteLockChange = () => ({}), name = 'pte-lock'): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'faults under the locks of table pages that others take out of the tree',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: FAULTED, leastCpus: 2, leastOperations: 1 },
      { name: RETRACTED, leastCpus: 2, leastOperations: 1 },
      { name: FREED, leastCpus: 2, leastOperations: 1 },
      { name: SECOND, leastCpus: 2, leastOperations: 2 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, size) {
      const cpus = Array.from({ length: size.cpus }, (_, cpu) => cpu);
      const rcu = bootRcu(memory, 0, cpus);
      const tables = bootPteTables(memory, 0, TABLES);
      const free = memory.allocateNamed('free tables', 0, 64);
      memory.write32(free, 0, (1 << TABLES) - 1);
      const addresses = {
        free: toLinear(free),
        pmd: toLinear(memory.allocateNamed('pmd', 0, PMD_BYTES)),
        sum: toLinear(memory.allocateNamed('sum', 0, 64)),
      };
      return { addresses, numbers: {}, parts: { rcu, tables } };
    },
    program: (cpu, image, size, report) =>
      cpu.id < size.cpus ? new Faults(cpu, image, change, report).rounds(size) : null,
    finish: checkFaults,
  };
}

/** Round r of CPU c takes the table out, if r + c is odd; else it faults. */
function retracts(cpu: number, round: number): boolean {
  return (cpu + round) % 2 === 1;
}

function checkFaults(memory: Memory, image: StressImage, size: StressSize, report: Reporter): void {
  const { hi, lo } = image.parts!['tables'] as PteTablesImage;
  const sum = image.addresses['sum']!;
  let inTables = 0;
  for (let i = 0; i < TABLES; i++) {
    inTables += memory.word({ hi, lo: lo + i * PAGE_BYTES + Table.Count });
  }
  let faults = 0;
  for (let cpu = 0; cpu < size.cpus; cpu++) {
    for (let round = 0; round < size.operations; round++) if (!retracts(cpu, round)) faults++;
  }
  checkCount(memory, sum, faults - inTables, 'the faults counted out of tables', report);
}

/** One CPU's rounds over one pmd. */
class Faults {
  readonly #cpu: Cpu;
  readonly #image: StressImage;
  readonly #report: Reporter;
  readonly #rcu: Rcu;
  readonly #lock: PteLock;

  constructor(cpu: Cpu, image: StressImage, change: PteLockChange, report: Reporter) {
    this.#cpu = cpu;
    this.#image = image;
    this.#report = report;
    const free: FreeTable = (self, hi, lo) => this.#freed(self, hi, lo);
    this.#rcu = new Rcu(image.parts!['rcu'] as RcuImage, [free]);
    const steps = { ...pteLockSteps, ...change(free) };
    this.#lock = new PteLock(this.#tables, this.#rcu, 0, steps);
  }

  get #tables(): PteTablesImage {
    return this.#image.parts!['tables'] as PteTablesImage;
  }

  *rounds({ operations }: StressSize): Program {
    const cpu = this.#cpu;
    while (!rcuExitIdle(cpu)) yield;
    for (let round = 0; round < operations; round++) {
      if (retracts(cpu.id, round)) yield* this.#retract();
      else yield* this.#fault();
      yield* this.#rcu.poll(cpu);
      cpu.mark();
    }
    yield* this.#rcu.finish(cpu);
  }

  *#fault(): Program {
    const cpu = this.#cpu;
    const pmd = this.#image.addresses['pmd']!;
    for (;;) {
      yield* this.#lock.lock(cpu, pmd.hi, pmd.lo);
      if (cpu.ret === 1) break;
      yield* this.#install(pmd);
    }
    const { hi, lo } = cpu;
    this.#report.reach(FAULTED);
    while (!cpu.load32(hi, lo + Table.Owner, Order.Relaxed)) yield;
    if (cpu.lo !== 1) {
      const text = 'faults in a table that no pmd names';
      this.#report.fail({ oracle: TORN_READ, cpus: [cpu.id], text, hi, lo });
    }
    yield* raise(cpu, { hi, lo: lo + Table.Count });
    yield* this.#lock.unlock(cpu, lo);
  }

  *#install(pmd: Address): Program {
    const cpu = this.#cpu;
    const index = yield* this.#take();
    if (index < 0) {
      yield* this.#rcu.poll(cpu);
      return;
    }
    const { hi } = this.#tables;
    const lo = this.#tables.lo + index * PAGE_BYTES;
    cpu.event(EventKind.TablePageAllocated, hi & 0xffff, lo);
    cpu.event(EventKind.ObjectAllocated, hi, descriptorLo(this.#tables, lo));
    while (!cpu.store32(hi, lo + Table.Owner, 1, Order.Relaxed)) yield;
    yield* this.#lock.install(cpu, pmd.hi, pmd.lo, hi, lo);
    if (cpu.ret === 1) return;
    this.#report.reach(SECOND);
    yield* this.#free(cpu, hi, lo);
  }

  /** Returns the number of a free table that is this CPU's now, or -1. */
  *#take(): Generator<Program | undefined, number, undefined> {
    const cpu = this.#cpu;
    const { hi, lo } = this.#image.addresses['free']!;
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    for (;;) {
      const free = cpu.lo;
      if (free === 0) return -1;
      const bit = free & -free;
      while (!cpu.cas32(hi, lo, free, free & ~bit, Order.Acquire)) yield;
      if (cpu.ok) return 31 - Math.clz32(bit);
    }
  }

  *#retract(): Program {
    const cpu = this.#cpu;
    const pmd = this.#image.addresses['pmd']!;
    const sum = this.#image.addresses['sum']!;
    yield* this.#lock.retract(cpu, pmd.hi, pmd.lo, function* (self, hi, lo) {
      while (!self.swap32(hi, lo + Table.Count, 0, Order.Relaxed)) yield;
      const counted = self.lo;
      while (!self.add32(sum.hi, sum.lo, counted, Order.Relaxed)) yield;
      while (!self.store32(hi, lo + Table.Owner, 0, Order.Relaxed)) yield;
    });
    if (cpu.ret === 1) this.#report.reach(RETRACTED);
  }

  /** The callback of RCU. */
  *#freed(cpu: Cpu, hi: number, lo: number): Program {
    this.#report.reach(FREED);
    yield* this.#free(cpu, hi, lo);
  }

  *#free(cpu: Cpu, hi: number, lo: number): Program {
    const free = this.#image.addresses['free']!;
    // An atomic: no store of this CPU is on its way to what may be another's.
    while (!cpu.swap32(hi, lo + Table.Owner, 0, Order.Relaxed)) yield;
    while (!cpu.load32(hi, lo + Table.Count, Order.Relaxed)) yield;
    if (cpu.lo !== 0) {
      const text = 'frees a table with faults in it that nobody has counted';
      this.#report.fail({ oracle: LOST_UPDATE, cpus: [cpu.id], text, hi, lo });
    }
    cpu.event(EventKind.TablePageFreed, hi & 0xffff, lo);
    cpu.event(EventKind.ObjectFreed, hi, descriptorLo(this.#tables, lo));
    const bit = 1 << ((lo - this.#tables.lo) / PAGE_BYTES);
    while (!cpu.set32(free.hi, free.lo, bit, Order.Release)) yield;
  }
}
