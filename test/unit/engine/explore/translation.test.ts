/**
 * Promise: accesses outside the linear map go through real descriptors, read one per step; what was
 * translated stays until a TLBI is delivered; a TLBI may overtake stores that are still buffered,
 * and a DSB waits for both. The kernel's stage-2 code runs on it as it is.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, Level, Order, Scope, Tlbi } from '../../../../src/cpu/operations.ts';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import { StepKind } from '../../../../src/engine/explore/execution.ts';
import { USUAL_TRANSLATION } from '../../../../src/engine/explore/mmu.ts';
import { traceSchedule } from '../../../../src/engine/explore/replay-schedule.ts';
import { type Address, toLinear } from '../../../../src/memory/physical-address.ts';
import {
  createStage1Table,
  descriptorAt,
  mapRange,
} from '../../../../src/translation/boot-tables.ts';
import { leafDescriptorLo } from '../../../../src/translation/descriptors.ts';
import { GRANULE_4K } from '../../../../src/translation/granule.ts';
import {
  S1_USER_DATA_HI,
  S1_USER_DATA_LO,
} from '../../../../src/translation/stage1-descriptors.ts';
import {
  type OpenPrograms,
  openPrograms,
  type ProgramsOptions,
  runRandom,
  type Words,
} from '../../../support/explore-programs.ts';

const VA = 0x40_0000;
const UNMAPPED = 0x80_0000;
const PAGES = ['old', 'new'];

interface Layout {
  entry: Address;
  pages: Address[];
}

/** One page table for all CPUs: VA is the old page, which holds 1; the new page holds 2. */
function open(
  programs: readonly ((cpu: Cpu, words: Words, layout: Layout) => Program)[],
  model: MemoryModel,
): OpenPrograms {
  const layout: Layout = { entry: { hi: 0, lo: 0 }, pages: [] };
  const roots: Address[] = [];
  const options: ProgramsOptions = {
    model,
    translation: { ...USUAL_TRANSLATION, userRoots: roots },
    boot(boot) {
      const table = createStage1Table(boot, 0, GRANULE_4K);
      layout.pages = PAGES.map((name, i) => {
        const page = boot.allocateNamed(name, 0, 4096, 4096);
        boot.write32(page, 0, i + 1);
        return page;
      });
      mapRange(boot, table, {
        input: { hi: 0, lo: VA },
        output: layout.pages[0]!,
        bytes: 4096,
        attributesHi: S1_USER_DATA_HI,
        attributesLo: S1_USER_DATA_LO,
        tableNode: 0,
      });
      layout.entry = descriptorAt(boot, table, { hi: 0, lo: VA }, 3, 0);
      boot.name('entry', layout.entry, 8);
      for (const _ of programs) roots.push(table.root);
    },
  };
  return openPrograms(
    programs.map((program) => (cpu, words) => program(cpu, words, layout)),
    options,
  );
}

function* load(cpu: Cpu, va = VA): Program {
  while (!cpu.load32(0, va, Order.Relaxed)) yield;
}

/** Points the entry to the new page. */
function* remap(cpu: Cpu, { entry, pages }: Layout): Program {
  const { hi, lo } = toLinear(entry);
  const fresh = leafDescriptorLo(pages[1]!.lo, S1_USER_DATA_LO, 3);
  while (!cpu.store32(hi, lo, fresh, Order.Relaxed)) yield;
}

function* flush(cpu: Cpu): Program {
  while (!cpu.tlbi(Tlbi.VmallHostIs, 0, 0, 0)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

function* raise(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.store32(hi, lo, 1, Order.Release)) yield;
}

function* wait(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.cond32(hi, lo, Condition.Equal, -1, 1, Order.Acquire)) yield;
}

describe('a translation', () => {
  it('is walked once, a descriptor per step, and kept', () => {
    const programs = open(
      [
        function* (cpu) {
          yield* load(cpu);
          expect(cpu.lo).toBe(1);
          yield* load(cpu);
        },
      ],
      'sc',
    );
    runRandom(programs, 1, ({ outcome }) => expect(outcome).toBe('passed'));
    const { explorer } = programs;
    const agents = explorer.agents.slice(0, explorer.stepCount);
    const { trace } = traceSchedule(explorer, agents, []);
    const kinds = trace.map(({ kind }) => kind);
    const { WalkRead, Read } = StepKind;
    expect(kinds).toEqual([WalkRead, WalkRead, WalkRead, WalkRead, Read, Read]);
    expect(trace[3]!.event.field).toBe('entry');
  });

  it('stays stale without a TLBI, and may be walked anew at any time before', () => {
    const programs = open(
      [
        function* (cpu, { x, y }) {
          yield* load(cpu);
          yield* wait(cpu, x!);
          yield* load(cpu);
          const seen = cpu.lo;
          while (!cpu.store32(y!.hi, y!.lo, seen, Order.Relaxed)) yield;
        },
        function* (cpu, { x }, layout) {
          yield* remap(cpu, layout);
          yield* raise(cpu, x!);
        },
      ],
      'sc',
    );
    const seen = new Set<number>();
    runRandom(programs, 100, () => seen.add(programs.value('y')));
    expect([...seen].sort()).toEqual([1, 2]);
  });

  it('is gone after TLBI and DSB, whoever walks meanwhile', () => {
    for (const model of ['sc', 'tso'] as const) {
      const programs = open(
        [
          function* (cpu, { x }) {
            yield* load(cpu);
            yield* wait(cpu, x!);
            yield* load(cpu);
            expect(cpu.lo).toBe(2);
          },
          function* (cpu, { x }, layout) {
            yield* remap(cpu, layout);
            while (!cpu.fence(3)) yield;
            yield* flush(cpu);
            yield* raise(cpu, x!);
          },
        ],
        model,
      );
      runRandom(programs, 300, ({ finding }) => expect(finding).toBeNull());
    }
  });

  it('survives a TLBI that overtakes the buffered store of its descriptor', () => {
    const programs = (model: MemoryModel): OpenPrograms =>
      open(
        [
          function* (cpu, { x }) {
            yield* load(cpu);
            yield* wait(cpu, x!);
            yield* load(cpu);
            if (cpu.lo !== 2) throw new Error('stale');
          },
          function* (cpu, { x }, layout) {
            yield* remap(cpu, layout);
            yield* flush(cpu);
            yield* raise(cpu, x!);
          },
        ],
        model,
      );
    const outcomes = (model: MemoryModel): Set<string> => {
      const seen = new Set<string>();
      runRandom(programs(model), 1500, ({ outcome }) => seen.add(outcome));
      return seen;
    };
    expect([...outcomes('sc')]).toEqual(['passed']);
    expect([...outcomes('tso')].sort()).toEqual(['failed', 'passed']);
  });
});

describe('a fault', () => {
  it('goes to the vector, and the access is repeated or skipped', () => {
    const programs = open(
      [
        function* (cpu, { x }, layout) {
          cpu.setVector(Level.Host, function* (self) {
            expect([self.exception.farLo, self.exception.write]).toEqual([UNMAPPED, false]);
            while (!self.add32(x!.hi, x!.lo, 1, Order.Relaxed)) yield;
            self.skipAttempt();
          });
          yield* load(cpu, UNMAPPED);
          expect(cpu.ok).toBe(false);
          while (!cpu.translate(0, UNMAPPED, false)) yield;
          expect([cpu.ok, cpu.ret]).toEqual([false, 0b000110]);
          while (!cpu.translate(0, VA + 8, true)) yield;
          expect([cpu.ok, cpu.lo]).toEqual([true, layout.pages[0]!.lo + 8]);
        },
      ],
      'sc',
    );
    runRandom(programs, 10, ({ finding }) => {
      expect(finding).toBeNull();
      expect(programs.value('x')).toBe(1);
    });
  });

  it('without a vector is a finding about the program', () => {
    const programs = open([(cpu) => load(cpu, UNMAPPED)], 'sc');
    runRandom(programs, 1, ({ finding }) => {
      expect(finding!.text).toBe(
        'the program of CPU 0 takes a fault (status 6) to host, which has no vector',
      );
    });
  });
});
