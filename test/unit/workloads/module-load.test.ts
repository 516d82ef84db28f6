/**
 * Promises: module_load loads, runs and unloads every module with each allocator, under every
 * checker and with the words of a module where its text is; with module_alloc no area of vmalloc is
 * left in use; a module is a function of its random word and has its sections in a row.
 */

import { describe, expect, it } from 'vitest';
import { Metric } from '../../../src/metrics/definition.ts';
import { makeModule, moduleBytesMax } from '../../../workloads/common/module-image.ts';
import { type ModuleLoadImage, moduleLoad } from '../../../workloads/module_load.ts';
import { runVirtually } from './virtual-harness.ts';

describe('module_load', () => {
  for (const [allocator, machine] of [
    ['module_alloc', 'xeon_skylake_6140_2p'],
    ['module_alloc', 'graviton3_1p'],
    ['execmem-rox', 'graviton3_1p'],
    ['typed', 'graviton3_1p'],
  ] as const) {
    it(`loads and unloads with ${allocator} on ${machine}`, () => {
      const words = `modules=2 live=1 textSize=2K allocator=${allocator} -c2`;
      const { report, facts, image } = runVirtually(moduleLoad, words, machine);
      expect(report).toMatch(/^4 modules loaded by 2 CPUs, \d+ per second$/m);
      expect(report).toMatch(/DirectMap4k: \d+ kB/);
      expect(facts.latency(Metric.ModuleLoad, null, null)!.count).toBe(4);
      expect(facts.latency(Metric.ModuleUnload, null, null)!.count).toBe(4);
      if (allocator !== 'module_alloc') return;
      const { busyRoot } = (image as ModuleLoadImage).kernel.execmem.vmalloc;
      expect(facts.peek32(busyRoot.hi & 0xffff, busyRoot.lo)).toBe(0);
    });
  }

  it('says where an allocator is not for modules', () => {
    const words = 'modules=1 textSize=64 allocator=prog_pack -c1';
    const { report } = runVirtually(moduleLoad, words, 'graviton3_1p');
    expect(report).toContain('allocator=prog_pack is for BPF programs alone: modules use');
  });

  it('refuses text of zero bytes', () => {
    expect(() => runVirtually(moduleLoad, 'textSize=0')).toThrow(/textSize: '0' is too small/);
  });
});

describe('modules', () => {
  it('have sections in a row, in whole lines, and no more bytes than is said', () => {
    for (let word = 0; word < 2 ** 16; word += 977) {
      const { sections, bytes } = makeModule(1, word, word % 3 === 0 ? 100 + word : 0);
      let offset = 0;
      for (const section of sections) {
        expect(section.offset).toBe(offset);
        expect(section.bytes % 64).toBe(0);
        offset += section.bytes;
      }
      expect(bytes).toBe(offset);
      expect(bytes).toBeLessThanOrEqual(moduleBytesMax(sections[0]!.bytes));
    }
    expect(makeModule(1, 5, 0)).toEqual(makeModule(1, 5, 0));
    expect(makeModule(1, 5, 0)).not.toEqual(makeModule(1, 7, 0));
  });
});
