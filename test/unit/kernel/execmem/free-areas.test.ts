/**
 * Free areas against a plain model: whatever is cut and given back, free and busy areas are
 * disjoint and tile the whole, the lowest fit is the model's, neighbours merge, and no node is
 * lost.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { AreaPool, bootAreaPool } from '../../../../src/kernel/execmem/area-pool.ts';
import { CHUNK_SHIFT } from '../../../../src/kernel/execmem/chunk.ts';
import { FreeAreas } from '../../../../src/kernel/execmem/free-areas.ts';
import { treeAreas } from '../../../../src/kernel/execmem/tiling.ts';
import { type Address, addBytes, toLinear } from '../../../../src/memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../../../src/sync/qspinlock.ts';
import { runKernelTest } from '../../../support/kernel-run.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

const START: Address = { hi: 0xffff8000 | 0, lo: 0x40000000 };
const BASE = 0x8000 * 2 ** 32 + 0x40000000;
const CHUNKS = 64;
const NODES = 12;

interface Step {
  readonly chunks: number;
  readonly alignShift: number;
  /** Gives back the area of this number instead, if there is one. */
  readonly free: number;
}

/** One entry per chunk: free or not. */
class Model {
  readonly busy = new Array<boolean>(CHUNKS).fill(false);

  cut(chunks: number, alignShift: number): number | null {
    const step = 2 ** (alignShift - CHUNK_SHIFT);
    for (let at = 0; at + chunks <= CHUNKS; at += step) {
      if (this.busy.slice(at, at + chunks).includes(true)) continue;
      this.busy.fill(true, at, at + chunks);
      return at;
    }
    return null;
  }

  /** Starts and sizes of the free stretches, in bytes. */
  free(): { start: number; bytes: number }[] {
    const stretches: { start: number; bytes: number }[] = [];
    for (let at = 0; at < CHUNKS; at++) {
      if (this.busy[at]) continue;
      const last = stretches.at(-1);
      const start = BASE + at * 64;
      if (last !== undefined && last.start + last.bytes === start) last.bytes += 64;
      else stretches.push({ start, bytes: 64 });
    }
    return stretches;
  }
}

function* follow(
  cpu: Cpu,
  areas: FreeAreas,
  pool: AreaPool,
  steps: readonly Step[],
  model: Model,
): Program {
  yield* pool.take(cpu);
  yield* areas.add(cpu, { hi: cpu.hi, lo: cpu.lo }, START, CHUNKS * 64);
  const held: { at: number; chunks: number }[] = [];
  for (const { chunks, alignShift, free } of steps) {
    const given = held[free];
    if (given !== undefined) {
      held.splice(free, 1);
      model.busy.fill(false, given.at, given.at + given.chunks);
      yield* pool.take(cpu);
      expect(cpu.ret).toBe(0);
      const spare = { hi: cpu.hi, lo: cpu.lo };
      yield* areas.add(cpu, spare, addBytes(START, given.at * 64), given.chunks * 64);
      continue;
    }
    if (held.length >= NODES / 3) continue;
    yield* areas.cutLowest(cpu, chunks * 64, alignShift);
    const at = model.cut(chunks, alignShift);
    expect(cpu.ret === 0).toBe(at !== null);
    if (at === null) continue;
    expect({ hi: cpu.hi, lo: cpu.lo }).toEqual(addBytes(START, at * 64));
    held.push({ at, chunks });
  }
}

const steps = fc.array(
  fc.record({
    chunks: fc.integer({ min: 1, max: 20 }),
    alignShift: fc.constantFrom(6, 6, 7, 8),
    free: fc.integer({ min: 0, max: 7 }),
  }),
  { maxLength: 40 },
);

describe('free areas', () => {
  it('are what a plain model says', () => {
    const machine = makeTestMachine({ cpuCount: 1, nodeCount: 1 });
    fc.assert(
      fc.property(steps, (sequence) => {
        const model = new Model();
        const lock = makeQueuedSpinlock();
        const run = runKernelTest({
          machine,
          cpus: [0],
          backedBytes: 2 ** 20,
          kernelOptions: [],
          boot: (boot) => ({
            pool: bootAreaPool(boot, 0, NODES, lock),
            root: toLinear(boot.allocate(0, 64)),
          }),
          *program(cpu, image) {
            const pool = new AreaPool(image.pool, lock);
            yield* follow(cpu, new FreeAreas(image.root, pool, CHUNK_SHIFT), pool, sequence, model);
          },
        });
        const peek = run.memory.peek32.bind(run.memory);
        const found = treeAreas(peek, run.image.root, CHUNK_SHIFT);
        expect(found.map(({ start, bytes }) => ({ start, bytes }))).toEqual(model.free());
      }),
      { numRuns: 25 },
    );
  });
});
