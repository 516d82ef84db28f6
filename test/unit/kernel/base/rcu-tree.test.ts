/**
 * Tree RCU: synchronize_rcu returns after every reader that could see the object has left, though
 * CPUs idle, report late, or in the middle of a section; and the steps that carry that, replaced.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../../src/cpu/operations.ts';
import {
  rcuEnterIdle,
  rcuExitIdle,
  rcuReadLock,
  rcuReadUnlock,
} from '../../../../src/kernel/base/rcu.ts';
import { RcuCpu } from '../../../../src/kernel/base/rcu-state.ts';
import { RcuTree, type RcuTreeSteps, rcuTreeSteps } from '../../../../src/kernel/base/rcu-tree.ts';
import {
  bootRcuTree,
  levelsOf,
  nodeLo,
  TreeNode,
} from '../../../../src/kernel/base/rcu-tree-state.ts';
import { firstFailure, lines, load, require, store } from '../../../support/shared-words.ts';
import { StepEngine } from '../../../support/step-engine.ts';

const ALIVE = 1;
const FREED = 2;

interface Shape {
  readonly cpuCount: number;
  readonly fanout: number;
  readonly objects: number;
}

const DEEP: Shape = { cpuCount: 5, fanout: 2, objects: 5 };
const FLAT: Shape = { cpuCount: 2, fanout: 4, objects: 8 };

function run(seed: number, changes: Partial<RcuTreeSteps>, shape: Shape = DEEP): void {
  const { cpuCount, fanout, objects: count } = shape;
  const engine = new StepEngine({ cpuCount, seed, stepLimit: 200_000 });
  const cpus = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  const image = bootRcuTree(engine.boot, { node: 0, cpus, fanout, scanIntervalPs: 40_000 });
  const [pointer] = lines(engine, 1);
  const objects = lines(engine, count);
  engine.boot.write32({ hi: objects[0]!.hi & 0xffff, lo: objects[0]!.lo }, 0, ALIVE);
  const make = () => new RcuTree(image, { ...rcuTreeSteps, ...changes });
  function* reader(cpu: Cpu): Program {
    const tree = make();
    while (!rcuExitIdle(cpu)) yield;
    for (let i = 0; i < 10; i++) {
      if (i % 3 === 0) yield* tree.poll(cpu);
      if (i % 3 === 1) yield* tree.quiescent(cpu);
      if (i % 4 === 1) {
        while (!rcuEnterIdle(cpu)) yield;
        while (!rcuExitIdle(cpu)) yield;
      }
      yield* rcuReadLock(cpu);
      yield* load(cpu, pointer!);
      const object = objects[cpu.lo]!;
      // Some sections outlast a grace period that forgets them.
      const looks = (i + cpu.id) % 4 === 0 ? 150 : 3;
      for (let look = 0; look < looks; look++) {
        if (look % 8 === 0) yield* tree.report(cpu);
        yield* load(cpu, object);
        require(cpu.lo === ALIVE, 'a reader sees a freed object');
      }
      yield* rcuReadUnlock(cpu);
    }
    while (!rcuEnterIdle(cpu)) yield;
  }
  function* writer(cpu: Cpu): Program {
    const tree = make();
    while (!rcuExitIdle(cpu)) yield;
    for (let next = 1; next < count; next++) {
      yield* store(cpu, objects[next]!, ALIVE);
      while (!cpu.swap32(pointer!.hi, pointer!.lo, next, Order.Release)) yield;
      yield* tree.synchronize(cpu);
      yield* store(cpu, objects[next - 1]!, FREED);
    }
    while (!rcuEnterIdle(cpu)) yield;
  }
  /** Takes no part in the writing, only drives and waits beside the writer. */
  function* waiter(cpu: Cpu): Program {
    const tree = make();
    for (let i = 0; i < 3; i++) yield* tree.synchronize(cpu);
  }
  const others = cpuCount > 2 ? [reader, waiter, reader] : [];
  engine.run([writer, reader, ...others]);
}

const breaks = (seeds: number, changes: Partial<RcuTreeSteps>, shape?: Shape) =>
  firstFailure(seeds, (seed) => run(seed, changes, shape));

describe('tree RCU', () => {
  it('has as many levels as it takes', () => {
    expect(levelsOf(5, 2)).toEqual([1, 2, 3]);
    expect(levelsOf(16, 16)).toEqual([1]);
    expect(levelsOf(192, 16)).toEqual([1, 12]);
  });

  it('waits for every reader', () => {
    expect(breaks(150, {})).toBeNull();
    expect(breaks(300, {}, FLAT)).toBeNull();
  });

  it('ends grace periods by reports alone, combined up to the root', () => {
    const engine = new StepEngine({ cpuCount: 4, seed: 3 });
    const options = { node: 0, cpus: [0, 1, 2, 3], fanout: 2, scanIntervalPs: 1e12 };
    const image = bootRcuTree(engine.boot, options);
    const [done] = lines(engine, 1);
    function* polling(cpu: Cpu): Program {
      while (!rcuExitIdle(cpu)) yield;
      const tree = new RcuTree(image);
      do {
        yield* tree.poll(cpu);
        yield* load(cpu, done!);
      } while (cpu.lo === 0);
    }
    function* waiting(cpu: Cpu): Program {
      const tree = new RcuTree(image);
      for (let i = 0; i < 3; i++) yield* tree.synchronize(cpu);
      yield* store(cpu, done!, 1);
    }
    engine.run([polling, polling, waiting, polling]);
    expect(engine.nowPs).toBeLessThan(1e12);
    for (const level of [0, 1]) {
      const at = { hi: image.hi, lo: nodeLo(image, level, 0) };
      expect(engine.peek32(at, TreeNode.Missing)).toBe(0);
    }
  });

  it('is broken by a grace period that leaves a CPU out', () => {
    const beginNode: RcuTreeSteps['beginNode'] = function* (cpu, hi, node, sequence) {
      yield* rcuTreeSteps.beginNode(cpu, hi, node, sequence);
      while (!cpu.clear32(hi, node + TreeNode.Missing, 2, Order.Relaxed)) yield;
    };
    expect(breaks(100, { beginNode })).toMatch(/freed object/);
  });

  it('is broken by a scan that takes a running CPU for an idle one', () => {
    const hasBeenIdle: RcuTreeSteps['hasBeenIdle'] = function* (cpu, image) {
      yield* load(cpu, image);
      cpu.ret = 1;
    };
    expect(breaks(100, { hasBeenIdle })).toMatch(/freed object/);
  });

  it('is broken by a scan that forgets idle CPUs', () => {
    const hasBeenIdle: RcuTreeSteps['hasBeenIdle'] = function* (cpu, image) {
      yield* load(cpu, image);
      cpu.ret = 0;
    };
    expect(breaks(1, { hasBeenIdle })).toMatch(/step limit/);
  });

  it('is broken by a quiescent state that is older than the grace period', () => {
    const note: RcuTreeSteps['note'] = function* (cpu, hi, leaf) {
      yield* rcuTreeSteps.note(cpu, hi, leaf);
      const own = { hi: cpu.perCpuHi(cpu.id), lo: cpu.perCpuLo(cpu.id) + RcuCpu.TreeNeeds };
      yield* load(cpu, own);
      if (cpu.lo === 1) yield* store(cpu, own, 2);
    };
    expect(breaks(100, { note })).toMatch(/freed object/);
  });
});

describe('a report that comes too late', () => {
  /** What has happened so far, so that everybody waits for the other at the right place. */
  const Event = { Scanned: 1, Late: 2, NextBegun: 3 } as const;

  /**
   * CPU 1 passes a quiescent state, is found idle in between, enters a section and reports while
   * the next grace period begins, which has to wait for that section.
   */
  function late(seed: number, isCurrent: RcuTreeSteps['isCurrent']): void {
    const engine = new StepEngine({ cpuCount: 2, seed, stepLimit: 100_000 });
    const image = bootRcuTree(engine.boot, { node: 0, cpus: [0, 1], scanIntervalPs: 40_000 });
    const [events, section, object] = lines(engine, 3);
    function* waitFor(cpu: Cpu, event: number): Program {
      const { hi, lo } = events!;
      while (!cpu.cond32(hi, lo, Condition.AtLeastWrapping, -1, event, Order.Acquire)) yield;
    }
    const steps: RcuTreeSteps = {
      ...rcuTreeSteps,
      isCurrent,
      *hasBeenIdle(cpu, tree, other, first) {
        if (other === 1 && !first) yield* waitFor(cpu, Event.Late);
        yield* rcuTreeSteps.hasBeenIdle(cpu, tree, other, first);
        if (other !== 1 || !first) return;
        const idle = cpu.ret;
        if (engine.peek32(events!) === 0) yield* store(cpu, events!, Event.Scanned);
        cpu.ret = idle;
      },
      *beginNode(cpu, hi, node, sequence) {
        yield* rcuTreeSteps.beginNode(cpu, hi, node, sequence);
        if (sequence === 3) yield* store(cpu, events!, Event.NextBegun);
      },
      *note(cpu, hi, leaf) {
        yield* rcuTreeSteps.note(cpu, hi, leaf);
        if (engine.peek32(section!) === 0) return;
        if (engine.peek32(events!) === Event.Scanned) yield* store(cpu, events!, Event.Late);
        yield* waitFor(cpu, Event.NextBegun);
      },
    };
    function* reader(cpu: Cpu): Program {
      const tree = new RcuTree(image, steps);
      while (!rcuExitIdle(cpu)) yield;
      yield* waitFor(cpu, Event.Scanned);
      yield* tree.report(cpu);
      yield* tree.quiescent(cpu);
      while (!rcuEnterIdle(cpu)) yield;
      while (!rcuExitIdle(cpu)) yield;
      yield* rcuReadLock(cpu);
      yield* store(cpu, section!, 1);
      yield* tree.report(cpu);
      for (let look = 0; look < 300; look++) {
        yield* load(cpu, object!);
        require(cpu.lo !== FREED, 'a reader sees a freed object');
      }
      yield* rcuReadUnlock(cpu);
      while (!rcuEnterIdle(cpu)) yield;
    }
    function* writer(cpu: Cpu): Program {
      const tree = new RcuTree(image, steps);
      // The reader is not idle when the first grace period begins.
      const at = cpu.perCpuLo(1) + RcuCpu.Watching;
      while (!cpu.cond32(cpu.perCpuHi(1), at, Condition.Equal, -1, 1, Order.Acquire)) yield;
      yield* tree.synchronize(cpu);
      yield* tree.synchronize(cpu);
      yield* store(cpu, object!, FREED);
    }
    engine.run([writer, reader]);
  }

  it('is not taken for the grace period that runs now', () => {
    expect(firstFailure(30, (seed) => late(seed, rcuTreeSteps.isCurrent))).toBeNull();
  });

  it('breaks it when nobody looks which grace period the report is for', () => {
    const isCurrent: RcuTreeSteps['isCurrent'] = function* (cpu, hi, node) {
      yield* load(cpu, { hi, lo: node });
      cpu.ret = 1;
    };
    expect(firstFailure(30, (seed) => late(seed, isCurrent))).toMatch(/freed object/);
  });
});
