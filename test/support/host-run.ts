/**
 * A small machine of the host engine with real tables, for tests: linear map, a root per CPU, a
 * guest whose memory is mapped page by page. Programs are exports of a compiled module.
 */

import { PER_CPU_BYTES } from '../../src/cpu/per-cpu.ts';
import { HOST_DEFAULTS, type HostSpec } from '../../src/engine/host/spec.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import {
  createCpuRoots,
  createLinearMap,
  createStage1Table,
  createStage2Table,
  descriptorAt,
  mapRange,
} from '../../src/translation/boot-tables.ts';
import { PERM_READ, PERM_WRITE } from '../../src/translation/descriptors.ts';
import { GRANULE_4K } from '../../src/translation/granule.ts';
import { S1_USER_DATA_HI, S1_USER_DATA_LO } from '../../src/translation/stage1-descriptors.ts';
import { s2AttributesHi, s2AttributesLo } from '../../src/translation/stage2-descriptors.ts';
import { makeTestMachine } from './test-machine.ts';

export const PAGE_BYTES = 4096;
const BACKED_BYTES = 1 << 20;
const IPA_BITS = 40;
/** Where a guest's page of data is, in the guest's eyes. */
export const GUEST_VA = 0x40_0000;

/** Plain data: linear-map addresses, but for roots (physical) and `ipa`. */
export interface HostTables {
  /** A line each. */
  readonly words: readonly Address[];
  /** Two frames of data; the guest's page is the first one's. */
  readonly frames: readonly Address[];
  readonly framesPhysical: readonly Address[];
  readonly guestRoot: Address;
  readonly vmRoot: Address;
  readonly ipa: Address;
  /** The descriptor of `ipa` in stage 2. */
  readonly leaf: Address;
  /** Descriptor of GUEST_VA in the own table of CPU 0, which is not mapped. */
  readonly ownLeaf: Address;
}

const WORDS = 8;
const RW = PERM_READ | PERM_WRITE;
export const STAGE2_LEAF_HI = s2AttributesHi(RW);
export const STAGE2_LEAF_LO = s2AttributesLo(RW, true) | 3;
export const STAGE1_LEAF_HI = S1_USER_DATA_HI;
export const STAGE1_LEAF_LO = S1_USER_DATA_LO | 3;

export interface HostFixture {
  readonly spec: HostSpec;
  readonly memory: PhysicalMemory;
  readonly tables: HostTables;
}

export function hostFixture(cpuCount: number, module: string, exportName: string): HostFixture {
  const machine = makeTestMachine({ cpuCount, nodeCount: 1 });
  const buffers = PhysicalMemory.allocate(machine.memoryBytesOfNode, BACKED_BYTES);
  const memory = new PhysicalMemory(buffers);
  const boot = new BootMemory(machine, memory);
  const areas = Array.from({ length: cpuCount }, () =>
    toLinear(boot.allocate(0, PER_CPU_BYTES, PAGE_BYTES)),
  );
  const kernel = createLinearMap(boot, 0, GRANULE_4K);
  const own = createCpuRoots(boot, GRANULE_4K);
  const { tables } = makeTables(boot, own[0]!);
  const spec: HostSpec = {
    ...HOST_DEFAULTS,
    machine,
    memory: buffers,
    seed: 1,
    activeCpus: areas.map((_, cpu) => cpu),
    perCpuHi: areas.map(({ hi }) => hi),
    perCpuLo: areas.map(({ lo }) => lo),
    translation: {
      kernelRoots: areas.map(() => kernel.root),
      userRoots: own.map(({ root }) => root),
      hostGranuleShift: GRANULE_4K.shift,
      guestGranuleShift: GRANULE_4K.shift,
      stage2GranuleShift: GRANULE_4K.shift,
      ipaBits: IPA_BITS,
    },
    symbols: boot.symbols,
    streams: ['test'],
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    program: { module, exportName },
    image: tables,
    context: null,
  };
  return { spec, memory, tables };
}

function makeTables(
  boot: BootMemory,
  own: ReturnType<typeof createStage1Table>,
): { tables: HostTables } {
  const words = Array.from({ length: WORDS }, (_, i) => boot.allocateNamed(`word${i}`, 0, 64));
  const framesPhysical = [0, 1].map((i) =>
    boot.allocateNamed(`frame${i}`, 0, PAGE_BYTES, PAGE_BYTES),
  );
  const guest = createStage1Table(boot, 0, GRANULE_4K);
  const vm = createStage2Table(boot, 0, GRANULE_4K, IPA_BITS);
  const ipa = framesPhysical[0]!;
  const page = { hi: 0, lo: GUEST_VA };
  const data = { attributesHi: STAGE1_LEAF_HI, attributesLo: S1_USER_DATA_LO, tableNode: 0 };
  mapRange(boot, guest, { ...data, input: page, output: ipa, bytes: PAGE_BYTES });
  const ownLeaf = descriptorAt(boot, own, page, 3, 0);
  // The guest's own tables are in its memory: IPA = PA for all of it.
  const all = { input: { hi: 0, lo: 0 }, output: { hi: 0, lo: 0 }, bytes: BACKED_BYTES };
  const attributes = { attributesHi: s2AttributesHi(RW), attributesLo: s2AttributesLo(RW, true) };
  mapRange(boot, vm, { ...all, ...attributes, maximumShift: 12, tableNode: 0 });
  const leaf = descriptorAt(boot, vm, ipa, 3, 0);
  return {
    tables: {
      words: words.map(toLinear),
      frames: framesPhysical.map(toLinear),
      framesPhysical,
      guestRoot: guest.root,
      vmRoot: vm.root,
      ipa,
      leaf: toLinear(leaf),
      ownLeaf: toLinear(ownLeaf),
    },
  };
}
