/** Promise: the boot image's page tables: linear map, one root per CPU, sizes of leaves, nodes. */

import { describe, expect, test } from 'vitest';
import { GIB, MIB } from '../../../src/base/units.ts';
import { BootMemory } from '../../../src/memory/boot.ts';
import { LINEAR_MAP_HI, nodeOf } from '../../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../../src/memory/physical-memory.ts';
import {
  createCpuRoots,
  createLinearMap,
  createStage1Table,
  createStage2Table,
  mapRange,
} from '../../../src/translation/boot-tables.ts';
import { GRANULE_4K, GRANULE_16K, GRANULE_64K } from '../../../src/translation/granule.ts';
import { softwareWalk } from '../../../src/translation/software-walk.ts';
import {
  S1_USER_DATA_HI,
  S1_USER_DATA_LO,
  s1IsGlobal,
} from '../../../src/translation/stage1-descriptors.ts';
import { s2AttributesHi, s2AttributesLo } from '../../../src/translation/stage2-descriptors.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

function makeBoot(memoryBytesPerNode: number): BootMemory {
  const machine = makeTestMachine({ memoryBytesPerNode, nodeCount: 2, cpuCount: 4 });
  return new BootMemory(
    machine,
    new PhysicalMemory(PhysicalMemory.allocate(machine.memoryBytesOfNode, 8 * MIB)),
  );
}

describe('linear map', () => {
  test('covers every node by global 1 GiB blocks, smaller ones at the end, no byte more', () => {
    const boot = makeBoot(3 * GIB + 4 * MIB + 8192);
    const table = createLinearMap(boot, 1, GRANULE_4K);
    expect(nodeOf(table.root.hi)).toBe(1);
    for (const node of [0, 1]) {
      const walk = (offsetHi: number, lo: number) =>
        softwareWalk(boot.memory, table, LINEAR_MAP_HI | (node << 6) | offsetHi, lo);
      const block = walk(0, 0x80000123 | 0);
      expect([block.fault, block.level, block.shift]).toEqual(['none', 1, 30]);
      expect(block.output).toEqual({ hi: node << 6, lo: 0x80000123 | 0 });
      expect(s1IsGlobal(block.lo)).toBe(true);
      expect(walk(0, 0xc0200000 | 0).shift).toBe(21);
      expect(walk(0, 0xc0401000 | 0).shift).toBe(12);
      expect(walk(0, 0xc0402000 | 0).fault).toBe('translation');
    }
  });

  test.each([
    [GRANULE_16K, 25],
    [GRANULE_64K, 29],
  ])('other granules take their level-2 blocks: %o', (granule, shift) => {
    const boot = makeBoot(2 * GIB);
    const table = createLinearMap(boot, 0, granule);
    const walk = softwareWalk(boot.memory, table, LINEAR_MAP_HI | (1 << 6), 0x40000000);
    expect([walk.fault, walk.shift]).toEqual(['none', shift]);
    expect(walk.output).toEqual({ hi: 1 << 6, lo: 0x40000000 });
  });
});

describe('roots', () => {
  test('each CPU has an empty root page of its own on its own node', () => {
    const boot = makeBoot(GIB);
    const roots = createCpuRoots(boot, GRANULE_4K);
    expect(roots.map((table) => nodeOf(table.root.hi))).toEqual([0, 0, 1, 1]);
    expect(new Set(roots.map((table) => `${table.root.hi}:${table.root.lo}`)).size).toBe(4);
    for (const table of roots) {
      expect(softwareWalk(boot.memory, table, 0, 0x1000).fault).toBe('translation');
    }
  });

  test('a stage-2 root with two concatenated tables is aligned to both and uses both', () => {
    const boot = makeBoot(GIB);
    boot.allocate(0, 64);
    const table = createStage2Table(boot, 0, GRANULE_4K, 40);
    expect(table.root.lo % 8192).toBe(0);
    expect(table.startLevel).toBe(1);
    mapRange(boot, table, {
      input: { hi: 0xff, lo: 0x40000000 },
      output: { hi: 0, lo: 0 },
      bytes: GIB,
      attributesHi: s2AttributesHi(3),
      attributesLo: s2AttributesLo(3, true),
      tableNode: 0,
    });
    expect(softwareWalk(boot.memory, table, 0xff, 0x40001000).output.lo).toBe(0x1000);
    expect(boot.read32(table.root, 1021 * 8)).not.toBe(0);
  });
});

describe('mappings', () => {
  const user = { attributesHi: S1_USER_DATA_HI, attributesLo: S1_USER_DATA_LO };

  test('contiguous groups are marked where whole and aligned, and count as one entry', () => {
    const boot = makeBoot(GIB);
    const table = createStage1Table(boot, 0, GRANULE_4K);
    mapRange(boot, table, {
      input: { hi: 0, lo: 0x10000 },
      output: { hi: 0, lo: 0x20000 },
      bytes: 17 * 4096,
      contiguous: true,
      tableNode: 1,
      ...user,
    });
    expect(softwareWalk(boot.memory, table, 0, 0x13000).shift).toBe(16);
    expect(softwareWalk(boot.memory, table, 0, 0x20000).shift).toBe(12);
    expect(nodeOf(softwareWalk(boot.memory, table, 0, 0x13000).entry.hi)).toBe(1);
  });

  test('mapping twice, or over a block, is a bug in the boot code', () => {
    const boot = makeBoot(GIB);
    const table = createStage1Table(boot, 0, GRANULE_4K);
    const block = {
      input: { hi: 0, lo: 0x200000 },
      output: { hi: 0, lo: 0x200000 },
      bytes: 2 * MIB,
      tableNode: 0,
      ...user,
    };
    mapRange(boot, table, block);
    expect(() => mapRange(boot, table, block)).toThrow('covers a mapped address');
    const page = { ...block, bytes: 4096 };
    expect(() => mapRange(boot, table, page)).toThrow('runs into a block');
  });

  test('a leaf without access flag and an input out of range are told apart', () => {
    const boot = makeBoot(GIB);
    const table = createStage1Table(boot, 0, GRANULE_4K);
    mapRange(boot, table, {
      input: { hi: 0, lo: 0x1000 },
      output: { hi: 0, lo: 0x1000 },
      bytes: 4096,
      attributesHi: 0,
      attributesLo: 0,
      tableNode: 0,
    });
    expect(softwareWalk(boot.memory, table, 0, 0x1000).fault).toBe('access-flag');
    expect(softwareWalk(boot.memory, table, 0x10000, 0x1000).fault).toBe('translation');
  });

  test('a nested walk translates the IPA of every table, and faults where stage 2 does', () => {
    const boot = makeBoot(GIB);
    const guest = createStage1Table(boot, 0, GRANULE_4K);
    mapRange(boot, guest, {
      input: { hi: 0, lo: 0x1000 },
      output: { hi: 0, lo: 0x5000 },
      bytes: 4096,
      tableNode: 0,
      ...user,
    });
    const seen: number[] = [];
    const walk = softwareWalk(boot.memory, guest, 0, 0x1000, (ipa) => {
      seen.push(ipa.lo);
      return ipa;
    });
    expect([walk.fault, walk.output.lo, seen.length]).toEqual(['none', 0x5000, 4]);
    const broken = softwareWalk(boot.memory, guest, 0, 0x1000, () => undefined);
    expect([broken.fault, broken.level]).toEqual(['translation', 0]);
  });
});
