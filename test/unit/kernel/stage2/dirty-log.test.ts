/**
 * Promise: no guest write is lost to the dirty log. Every write that happens after a page was last
 * cleared (the ioctl has returned) is in the bitmap at the end, in every mode and interleaving; and
 * a write-protected page faults once, not more (I5).
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import {
  clearDirtyLog,
  disableDirtyLog,
  enableDirtyLog,
  getDirtyLog,
} from '../../../../src/kernel/stage2/dirty-log.ts';
import type { Stage2Options } from '../../../../src/kernel/stage2/options.ts';
import { guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../../../src/kernel/stage2/vcpu-state.ts';
import type { Vm } from '../../../../src/kernel/stage2/vm.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { guestVa, KvmHarness, TEST_IPA } from './kvm-harness.ts';

const PAGE = 4096;
const PAGES = 70;

/** Pages in an order that depends on the vCPU, so that they meet. */
function* writeRounds(cpu: Cpu, vcpu: Vcpu, rounds: number, step: number): Program {
  for (let i = 0; i < rounds * PAGES; i++) {
    const page = (i * step) % PAGES;
    const { hi, lo } = guestVa(page * PAGE);
    yield* guestStore(cpu, vcpu, hi, lo, 0, i);
  }
}

interface Ghost {
  readonly lastWrite: number[];
  readonly lastClear: number[];
}

function readUserBitmap(harness: KvmHarness, page: number): boolean {
  const { bitmapHi, userBitmapLo } = harness.image.vms[0]!.slots[1]!;
  const word = harness.engine.peek32({ hi: bitmapHi, lo: userBitmapLo + (page >>> 5) * 4 });
  return ((word >>> (page & 31)) & 1) === 1;
}

/** Gets and clears the log again and again while vCPUs write. */
function* harvest(cpu: Cpu, vm: Vm, harness: KvmHarness, ghost: Ghost, rounds: number): Program {
  const slot = vm.image.slots[1]!;
  yield enableDirtyLog(cpu, vm, slot);
  for (let round = 0; round < rounds; round++) {
    yield getDirtyLog(cpu, vm, slot);
    if (!vm.options.manualProtect) {
      noteCleared(harness, ghost, 0, PAGES);
      continue;
    }
    for (let first = 0; first < PAGES; first += 32) {
      yield clearDirtyLog(cpu, vm, slot, first, 32);
      noteCleared(harness, ghost, first, 32);
    }
  }
}

function noteCleared(harness: KvmHarness, ghost: Ghost, first: number, pages: number): void {
  for (let page = first; page < Math.min(PAGES, first + pages); page++) {
    if (readUserBitmap(harness, page)) ghost.lastClear[page] = harness.engine.steps;
  }
}

function runLogging(seed: number, backing: string, options: Partial<Stage2Options>): KvmHarness {
  const ghost: Ghost = {
    lastWrite: new Array(PAGES).fill(-1),
    lastClear: new Array(PAGES).fill(-1),
  };
  const harness: KvmHarness = new KvmHarness({
    seed,
    vcpus: 2,
    backing,
    options,
    bytes: backing === 'anonymous' ? PAGES * PAGE : 4 * 2 ** 20,
    witness: (_, ipa, write) => {
      const page = (ipa - TEST_IPA) / PAGE;
      if (write && page >= 0 && page < PAGES) ghost.lastWrite[page] = harness.engine.steps;
    },
  });
  harness.run([
    (cpu, vm) => runVcpu(cpu, vm, 0, (at, vcpu) => writeRounds(at, vcpu, 2, 1)),
    (cpu, vm) => runVcpu(cpu, vm, 1, (at, vcpu) => writeRounds(at, vcpu, 2, 13)),
    (cpu, vm) => harvest(cpu, vm, harness, ghost, 3),
  ]);
  for (let page = 0; page < PAGES; page++) {
    const missed = ghost.lastWrite[page]! > ghost.lastClear[page]! && !harness.isDirty(page);
    // Writes before logging began are not the log's.
    const before = ghost.lastClear[page]! < 0;
    expect(missed && !before, `seed ${seed}: page ${page} was written and is not in the log`).toBe(
      false,
    );
  }
  harness.audit();
  return harness;
}

const VARIANTS: readonly [string, Partial<Stage2Options>][] = [
  ['parallel', {}],
  ['exclusive', { faults: 'exclusive', prune: 'immediate', mmuLock: 'spinlock' }],
  [
    'relax-shared, broadcast',
    { faults: 'relax-shared', prune: 'immediate', relaxTlbi: 'broadcast' },
  ],
  ['protected at once', { initiallySet: false }],
  ['without manual protection', { manualProtect: false, initiallySet: false }],
  ['eager split', { split: 'eager' }],
  ['split without break', { stage2Bbm: true }],
  ['eager split without break', { stage2Bbm: true, split: 'eager' }],
  ['lockless', { writeProtect: 'lockless' }],
  ['per-VMA locks', { mmapLock: 'per-vma' }],
];

describe('dirty log', () => {
  it.each(VARIANTS)('misses no write: %s', (_, options) => {
    for (let seed = 1; seed <= 8; seed++) runLogging(seed, 'anonymous', options);
  });

  it.each(VARIANTS)('misses no write over blocks: %s', (_, options) => {
    for (let seed = 1; seed <= 4; seed++) runLogging(seed, 'anonymous_thp', options);
  });

  it('faults once per page and clear with one vCPU (I5)', () => {
    const harness = new KvmHarness({ vcpus: 1, helpers: 1, bytes: PAGES * PAGE });
    const faults: number[] = [];
    harness.run([
      function* (cpu, vm) {
        const slot = vm.image.slots[1]!;
        const counted = (): void => {
          faults.push(harness.counter(Counter.FaultsStage2));
        };
        yield runVcpu(cpu, vm, 0, (at, vcpu) => writeRounds(at, vcpu, 1, 1));
        counted();
        yield enableDirtyLog(cpu, vm, slot);
        yield getDirtyLog(cpu, vm, slot);
        yield clearDirtyLog(cpu, vm, slot, 0, PAGES);
        yield runVcpu(cpu, vm, 0, (at, vcpu) => writeRounds(at, vcpu, 3, 1));
        counted();
        yield disableDirtyLog(cpu, vm, slot);
      },
    ]);
    expect(faults).toEqual([PAGES, 2 * PAGES]);
    expect(harness.counter(Counter.FaultsRelaxed)).toBe(PAGES);
  });

  it('initiallySet: enabling protects nothing, so the first round takes no fault', () => {
    for (const initiallySet of [true, false]) {
      const harness = new KvmHarness({ vcpus: 1, bytes: PAGES * PAGE, options: { initiallySet } });
      harness.run([
        function* (cpu, vm) {
          yield runVcpu(cpu, vm, 0, (at, vcpu) => writeRounds(at, vcpu, 1, 1));
          yield enableDirtyLog(cpu, vm, vm.image.slots[1]!);
          yield runVcpu(cpu, vm, 0, (at, vcpu) => writeRounds(at, vcpu, 1, 1));
        },
      ]);
      expect(harness.counter(Counter.FaultsRelaxed)).toBe(initiallySet ? 0 : PAGES);
      expect(harness.isDirty(0)).toBe(true);
    }
  });
});
