/**
 * Promise: the host engine translates as the tables say: stage 1 of the host, stage 1 and 2 of a
 * guest, blocks and pages, permissions, access flag and dirty state set by the walk. Method: random
 * tables; each address against a walk by software (translation/software-walk.ts), several times, so
 * that TLB and walk caches answer, too.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FaultKind, Regime, Register } from '../../src/cpu/operations.ts';
import { HostMemory } from '../../src/engine/host/host-memory.ts';
import { HostTranslation } from '../../src/engine/host/host-translation.ts';
import { RIGHT } from '../../src/engine/host/host-walk.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import {
  createStage1Table,
  createStage2Table,
  mapRange,
  type TranslationTable,
} from '../../src/translation/boot-tables.ts';
import { PERM_READ, PERM_WRITE } from '../../src/translation/descriptors.ts';
import { GRANULE_4K } from '../../src/translation/granule.ts';
import { softwareWalk } from '../../src/translation/software-walk.ts';
import {
  S1_USER_DATA_HI,
  S1_USER_DATA_LO,
  S1_USER_READ_ONLY_HI,
  S1_USER_READ_ONLY_LO,
} from '../../src/translation/stage1-descriptors.ts';
import { s2AttributesHi, s2AttributesLo } from '../../src/translation/stage2-descriptors.ts';
import { makeTestMachine } from '../support/test-machine.ts';

const MIB2 = 2 * 1024 * 1024;
const BACKED_BYTES = 1 << 20;
const IPA_BITS = 40;

/** Slots of 2 MiB at 4 MiB, each a block, pages, read-only pages, or nothing. */
const slot = fc.constantFrom('block', 'pages', 'read-only', 'nothing');
const plan = fc.record({
  stage1: fc.array(slot, { minLength: 4, maxLength: 4 }),
  stage2: fc.array(slot, { minLength: 4, maxLength: 4 }),
  addresses: fc.array(
    fc.record({
      slot: fc.integer({ min: 0, max: 4 }),
      offset: fc.integer({ min: 0, max: MIB2 - 1 }),
      write: fc.boolean(),
    }),
    { minLength: 1, maxLength: 20 },
  ),
});

const baseOf = (index: number): Address => ({ hi: 0, lo: (index + 2) * MIB2 });
/** Stage 1 exchanges neighbours, so that VA, IPA and PA differ. */
const across = (index: number): Address => ({ hi: 0, lo: ((index ^ 1) + 2) * MIB2 });

function mapSlots(boot: BootMemory, table: TranslationTable, slots: string[], stage: 1 | 2): void {
  slots.forEach((kind, index) => {
    if (kind === 'nothing') return;
    const readOnly = kind === 'read-only';
    const rights = readOnly ? PERM_READ : PERM_READ | PERM_WRITE;
    const stage1 = readOnly
      ? { attributesHi: S1_USER_READ_ONLY_HI, attributesLo: S1_USER_READ_ONLY_LO }
      : { attributesHi: S1_USER_DATA_HI, attributesLo: S1_USER_DATA_LO };
    const stage2 = {
      attributesHi: s2AttributesHi(rights),
      attributesLo: s2AttributesLo(rights, true),
    };
    mapRange(boot, table, {
      ...(stage === 1 ? stage1 : stage2),
      input: baseOf(index),
      output: across(index),
      bytes: MIB2,
      maximumShift: kind === 'block' ? 21 : 12,
      tableNode: 0,
    });
  });
}

function makeAll(stage1: string[], stage2: string[]) {
  const machine = makeTestMachine({ cpuCount: 1, nodeCount: 1 });
  const memory = new PhysicalMemory(
    PhysicalMemory.allocate(machine.memoryBytesOfNode, BACKED_BYTES),
  );
  const boot = new BootMemory(machine, memory);
  const guest = createStage1Table(boot, 0, GRANULE_4K);
  const vm = createStage2Table(boot, 0, GRANULE_4K, IPA_BITS);
  mapSlots(boot, guest, stage1, 1);
  mapSlots(boot, vm, stage2, 2);
  // The guest's tables: IPA = PA.
  const origin = { hi: 0, lo: 0 };
  const attributesHi = s2AttributesHi(PERM_READ);
  const attributesLo = s2AttributesLo(PERM_READ, true);
  const own = { input: origin, output: origin, bytes: BACKED_BYTES, tableNode: 0 };
  mapRange(boot, vm, { ...own, attributesHi, attributesLo });
  const translation = new HostTranslation(machine, null, 0, new HostMemory(memory));
  translation.setRoot(Register.Ttbr0, guest.root.hi, guest.root.lo, 1);
  translation.setRoot(Register.GuestTtbr0, guest.root.hi, guest.root.lo, 0);
  translation.setRoot(Register.Vttbr, vm.root.hi, vm.root.lo, 1);
  return { memory, guest, vm, translation };
}

/** null: a fault at that stage. */
function expected(
  kind: string | undefined,
  memory: PhysicalMemory,
  table: TranslationTable,
  at: Address,
  write: boolean,
): Address | null {
  if (kind === 'read-only' && write) return null;
  const walk = softwareWalk(memory, table, at.hi, at.lo);
  return walk.fault === 'none' ? walk.output : null;
}

describe('host engine translation', () => {
  test('of the host is what its table says', () =>
    fc.assert(
      fc.property(plan, ({ stage1, addresses }) => {
        const { memory, guest, translation } = makeAll(stage1, []);
        for (const { slot: index, offset, write } of [...addresses, ...addresses]) {
          const lo = baseOf(index).lo + offset;
          const right = write ? RIGHT.Write : RIGHT.Read;
          const found = translation.translate(0, lo, right);
          const want = expected(stage1[index], memory, guest, { hi: 0, lo }, write);
          expect(found).toBe(want !== null);
          if (want !== null) expect([translation.paHi, translation.paLo]).toEqual([0, want.lo]);
        }
      }),
      { numRuns: 60 },
    ));

  test('of a guest is both tables together, and says which one faults', () =>
    fc.assert(
      fc.property(plan, ({ stage1, stage2, addresses }) => {
        const { memory, guest, vm, translation } = makeAll(stage1, stage2);
        translation.setRegime(Regime.Guest);
        for (const { slot: index, offset, write } of [...addresses, ...addresses]) {
          const lo = baseOf(index).lo + offset;
          const found = translation.translate(0, lo, write ? RIGHT.Write : RIGHT.Read);
          const ipa = expected(stage1[index], memory, guest, { hi: 0, lo }, write);
          const pa = ipa && expected(stage2[index ^ 1], memory, vm, ipa, write);
          expect(found).toBe(pa !== null);
          if (pa !== null) {
            expect([translation.paHi, translation.paLo]).toEqual([0, pa.lo]);
            continue;
          }
          expect(translation.faultInStage2).toBe(ipa !== null);
          const kind = translation.fsc & ~3;
          expect([FaultKind.Translation, FaultKind.Permission]).toContain(kind);
          if (ipa !== null) expect(translation.ipaLo & ~0xfff).toBe(ipa.lo & ~0xfff);
        }
      }),
      { numRuns: 60 },
    ));
});
