/**
 * Promise: the ROX cache hands out text without touching a permission, lends pages to modules,
 * keeps a piece that it cannot make writable until a retry 10 ms later, and returns what is wholly
 * free.
 */

import { describe, expect, it } from 'vitest';
import { Order } from '../../../../src/cpu/operations.ts';
import { EINVAL, ENOMEM } from '../../../../src/kernel/base/errno.ts';
import { PAGE_SHIFT } from '../../../../src/kernel/base/struct-page.ts';
import { RoxCache, type RoxSteps, roxSteps } from '../../../../src/kernel/execmem/rox-cache.ts';
import { auditTiling, treeAreas } from '../../../../src/kernel/execmem/tiling.ts';
import { auditProtection } from '../../../../src/kernel/execmem/write-xor-execute.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { runExecmem } from '../../../support/execmem-run.ts';

const options = { allocator: 'execmem-rox' } as const;

describe('the ROX cache', () => {
  it('gives out pages without a flush', () => {
    const run = runExecmem({
      options,
      *program(cpu, parts) {
        const cache = new RoxCache(parts);
        for (let count = 0; count < 20; count++) {
          yield* cache.allocate(cpu, 100);
          expect(cpu.ret).toBe(0);
        }
      },
    });
    expect(run.counter(Counter.ExecmemPopulated)).toBe(1);
    expect(run.counter(Counter.KernelRangeFlushes)).toBe(1);
    // The gigabyte around the block, once.
    expect(run.counter(Counter.DirectMapSplits)).toBe(1);
  });

  it('lends pages to a module, which splits the block', () => {
    const run = runExecmem({
      options,
      *program(cpu, parts) {
        const cache = new RoxCache(parts);
        yield* cache.allocateWritable(cpu, 5000);
        expect(cpu.ret).toBe(0);
        const at = { hi: cpu.hi, lo: cpu.lo };
        while (!cpu.store32(at.hi, at.lo + 4996, 7, Order.Relaxed)) yield;
        yield* cache.restore(cpu, at, 5000);
        while (!cpu.fetch(at.hi, at.lo + 4996)) yield;
        expect(cpu.lo).toBe(7);
      },
    });
    const peek = run.memory.peek32.bind(run.memory);
    expect(run.counter(Counter.DirectMapSplits)).toBeGreaterThan(0);
    expect(auditTiling(peek, run.image)).toEqual([]);
    const table = { root: run.image.table.root, rodata: 'full', architecture: 'x86' } as const;
    expect(auditProtection(peek, table).violations).toEqual([]);
  });

  it('retries a free that failed, 10 ms later', () => {
    let fails = true;
    const steps: RoxSteps = {
      *makeWritable(cpu, parts, at, pages) {
        if (fails) cpu.ret = -ENOMEM;
        else yield* roxSteps.makeWritable(cpu, parts, at, pages);
      },
    };
    const run = runExecmem({
      options,
      *program(cpu, parts) {
        const cache = new RoxCache(parts, steps);
        yield* cache.allocate(cpu, 4096);
        const first = { hi: cpu.hi, lo: cpu.lo };
        yield* cache.allocate(cpu, 4096);
        yield* cache.free(cpu, first);
        expect(cpu.ret).toBe(0);
        yield* cache.allocate(cpu, 4096);
        expect({ hi: cpu.hi, lo: cpu.lo }).not.toEqual(first);
        fails = false;
        cpu.compute(11_000_000_000);
        yield* cache.allocate(cpu, 4096);
        expect({ hi: cpu.hi, lo: cpu.lo }).toEqual(first);
        yield* cache.free(cpu, { hi: first.hi, lo: first.lo + 64 });
        expect(cpu.ret).toBe(-EINVAL);
      },
    });
    const peek = run.memory.peek32.bind(run.memory);
    expect(treeAreas(peek, run.image.rox.busyRoot, PAGE_SHIFT).length).toBe(3);
    expect(auditTiling(peek, run.image)).toEqual([]);
  });
});
