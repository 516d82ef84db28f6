/**
 * The tests of the engine can fail: its rules are taken out one at a time, and random programs then
 * differ from the naive engine, or trip an assertion, the order witness or a program's own check.
 * (The naive engine shares no code with what is broken here.)
 */

import { afterEach, describe, expect, it } from 'vitest';
import { Directory } from '../../src/cache/directory.ts';
import { EventQueue } from '../../src/cache/event-queue.ts';
import { Home } from '../../src/cache/home.ts';
import { HomeTiming } from '../../src/cache/home-timing.ts';
import { CachedCpu } from '../../src/engine/virtual/cpu-cache.ts';
import { InvalidatingCpu } from '../../src/engine/virtual/cpu-invalidation.ts';
import { MaintenanceCpu } from '../../src/engine/virtual/cpu-maintenance.ts';
import { Status } from '../../src/engine/virtual/cpu-state.ts';
import { Roads } from '../../src/engine/virtual/roads.ts';
import { VirtualCpu } from '../../src/engine/virtual/virtual-cpu.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { DVM_SYNC } from '../../src/translation/dvm-agent.ts';
import { TlbiMatch } from '../../src/translation/tlbi-match.ts';
import { randomCase } from '../support/random-program.ts';
import { differences, type Outcome, runHere, runNaive } from '../support/virtual-run.ts';

const SEEDS = 60;
const STEPS = 16;
const references = new Map<number, Outcome>();

/** What the first random program that notices says; undefined: none does. */
function firstComplaint(): string | undefined {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const theCase = randomCase(seed, { steps: STEPS });
    const reference = references.get(seed) ?? runNaive(theCase);
    references.set(seed, reference);
    try {
      const found = differences(reference, runHere(theCase, { witness: true }));
      if (found.length > 0) return `differs: ${found[0]}`;
    } catch (error) {
      return (error as Error).message;
    }
  }
  return undefined;
}

/** What mutants reach into, of whichever class it is. */
interface Insides {
  effectPs: number;
  wakePs: number;
  status: number;
  nextPs: number;
  readonly node: number;
  readonly machine: Machine;
  readonly kind: Uint8Array;
  readonly rank: Uint8Array;
  readonly hash: Int32Array;
  readonly hashed: Uint8Array;
  readonly cpu: Int32Array;
  readonly hi: Int32Array;
  readonly lo: Int32Array;
  readonly a: Int32Array;
  freeExclusive(record: number): number;
  nodeOfCpu(id: number): number;
}
type Method = (this: Insides, ...operands: number[]) => unknown;

/** Puts broken methods back; a mock of vitest would keep a record of every call. */
const repairs: (() => void)[] = [];

afterEach(() => {
  for (const repair of repairs.splice(0)) repair();
});

/** Replaces a method by one that is made of the original. */
function mutate(
  type: { readonly prototype: object },
  name: string,
  make: (original: Method) => Method,
): void {
  const { prototype } = type;
  const before = Object.getOwnPropertyDescriptor(prototype, name);
  if (before === undefined) throw new Error(`there is no ${name} to break`);
  repairs.push(() => Object.defineProperty(prototype, name, before));
  Object.defineProperty(prototype, name, { ...before, value: make(before.value as Method) });
}

interface Mutant {
  readonly rule: string;
  readonly apply: () => void;
  /** What at least has to be said. */
  readonly says?: RegExp;
}

const MUTANTS: readonly Mutant[] = [
  {
    rule: 'losses are pushed to the next boundary (ER-T8)',
    says: /loss in the past/,
    apply: () =>
      mutate(HomeTiming, 'snoop', (original) => {
        return function (...operands) {
          original.apply(this, operands);
          this.effectPs -= this.machine.gridPs;
        };
      }),
  },
  {
    rule: 'time is checked before an access (ER-T9)',
    apply: () =>
      mutate(VirtualCpu, 'run', (original) => {
        return function (windowEnd) {
          original.call(this, windowEnd! + this.machine.gridPs);
        };
      }),
  },
  {
    rule: 'losses count as pending (ER-T10)',
    apply: () => mutate(Roads, 'earliestEffectPs', () => () => Number.POSITIVE_INFINITY),
  },
  { rule: 'grants count as pending (ER-T10)', apply: () => keepsNextTime(CachedCpu, 'granted') },
  {
    rule: 'interrupts count as pending (ER-T10)',
    apply: () => keepsNextTime(VirtualCpu, 'interruptArrives'),
  },
  {
    rule: 'wakes count as pending (ER-T10)',
    apply: () => keepsNextTime(VirtualCpu, 'wakeArrives'),
  },
  {
    rule: 'acknowledgements count as pending (ER-T10)',
    apply: () => keepsNextTime(MaintenanceCpu, 'acknowledged'),
  },
  {
    rule: 'an acknowledgement counts from its own time (ER-T8c)',
    apply: () =>
      mutate(MaintenanceCpu, 'acknowledged', (original) => {
        return function () {
          original.call(this, 0);
        };
      }),
  },
  {
    rule: 'shared grants are pipelined (ER-D1)',
    apply: () =>
      mutate(Directory, 'freeShared', () => {
        return function (record) {
          return this.freeExclusive(record!);
        };
      }),
  },
  {
    rule: 'a line is free when its grant is acknowledged (ER-D2)',
    apply: () =>
      mutate(Directory, 'setFree', (original) => {
        return function (record) {
          original.call(this, record!, 0, 0);
        };
      }),
  },
  {
    rule: 'requests wait in one FIFO per line (ER-D3)',
    apply: () => mutate(Directory, 'fifoTail', () => () => -1),
  },
  {
    rule: 'a grant is not before the loss plus the way (ER-D4)',
    says: /a grant precedes the loss/,
    apply: () => mutate(HomeTiming, 'transferPs', () => () => 0),
  },
  { rule: 'a write-back counts only from the owner (ER-D8)', apply: believeEveryWriteBack },
  {
    rule: 'a Sync stays behind its TLBI (ER-D9)',
    apply: () =>
      mutate(EventQueue, 'push', (original) => {
        return function (message) {
          if (this.a[message!] === DVM_SYNC) this.rank[message!] = 0;
          original.call(this, message!);
        };
      }),
  },
  {
    rule: 'ties are decided by a hash (ER-F1)',
    apply: () =>
      mutate(EventQueue, 'push', (original) => {
        return function (message) {
          this.hash[message!] = 0;
          this.hashed[message!] = 1;
          original.call(this, message!);
        };
      }),
  },
  {
    rule: 'a loss wakes (ER-W1)',
    apply: () =>
      mutate(CachedCpu, 'lose', (original) => {
        return function (...operands) {
          original.apply(this, operands);
          if (this.status !== Status.Waking) return;
          this.status = Status.Parked;
          this.nextPs = Number.POSITIVE_INFINITY;
        };
      }),
  },
  {
    rule: 'wake-ups are not rounded (ER-W7)',
    apply: () =>
      mutate(HomeTiming, 'snoop', (original) => {
        return function (...operands) {
          original.apply(this, operands);
          this.wakePs = this.effectPs;
        };
      }),
  },
  {
    rule: 'a TLBI marks what is under way (ER-X2, X3)',
    apply: () => mutate(TlbiMatch, 'matchesWalk', () => () => false),
  },
  {
    rule: 'a marked access translates again (ER-X3)',
    apply: () => mutate(InvalidatingCpu, 'takeMark', () => () => false),
  },
  {
    rule: 'a TLBI reaches every node (ER-X4)',
    apply: () =>
      mutate(MaintenanceCpu, 'dvmArrives', (original) => {
        return function (effectPs, issuer, operation, ...rest) {
          const own = this.nodeOfCpu(issuer!) === this.node;
          const reaches = own || operation === DVM_SYNC;
          original.call(this, effectPs!, issuer!, reaches ? operation! : DVM_SYNC, ...rest);
        };
      }),
  },
  {
    rule: 'interrupts obey masks (ER-I4)',
    apply: () => mutate(VirtualCpu, 'interrupts', () => () => true),
  },
];

/** What arrives does not move the time at which the CPU can act next. */
function keepsNextTime(type: { readonly prototype: object }, name: string): void {
  mutate(type, name, (original) => {
    return function (...operands) {
      const before = this.nextPs;
      original.apply(this, operands);
      this.nextPs = before;
    };
  });
}

/** The owner on record becomes whoever sends a write-back, when it is served. */
function believeEveryWriteBack(): void {
  let serving: Home | undefined;
  mutate(Home, 'serve', (original) => {
    return function (until) {
      serving = this as unknown as Home;
      original.call(this, until!);
      serving = undefined;
    };
  });
  mutate(EventQueue, 'pop', (original) => {
    return function () {
      const message = original.call(this) as number;
      const ofHome = serving?.queue === (this as unknown as EventQueue);
      if (!ofHome || this.kind[message] !== 0) return message;
      const { directory } = (serving as Home).lines;
      const line = ((this.hi[message]! & 63) << 26) | (this.lo[message]! >>> 6);
      const record = directory.find(line);
      if (record >= 0) directory.setOwner(record, this.cpu[message]!);
      return message;
    };
  });
}

describe('a rule taken out is noticed', () => {
  it('and nothing is said of the engine as it is', () => {
    expect(firstComplaint()).toBeUndefined();
  });

  for (const { rule, apply, says } of MUTANTS) {
    it(rule, () => {
      apply();
      const complaint = firstComplaint();
      expect(complaint).toBeDefined();
      if (says !== undefined) expect(complaint).toMatch(says);
    });
  }
});
