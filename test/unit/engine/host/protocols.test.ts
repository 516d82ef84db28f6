/**
 * What the host engine promises beside plain accesses, on real threads: translation through real
 * descriptors, TLBIs that are acknowledged by everybody whatever it does, interrupts and masks,
 * exceptions, oracles, rounds, and a watchdog that says what each CPU did last.
 */

import { describe, expect, it } from 'vitest';
import { BugError, CheckError, StallError } from '../../../../src/base/errors.ts';
import { type HostLimits, runOnHost } from '../../../../src/engine/host/run-host.ts';
import type { HostSpec } from '../../../../src/engine/host/spec.ts';
import { fromLinear } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { hostFixture } from '../../../support/host-run.ts';

const MODULE = new URL(
  '../../../../dist/test/unit/engine/host/protocol-scenarios.js',
  import.meta.url,
).href;
const PATIENT: HostLimits = { stallMs: 20_000 };

async function run(
  exportName: string,
  options: Partial<HostSpec> = {},
  limits: HostLimits = PATIENT,
) {
  const { spec, memory, tables } = hostFixture(3, MODULE, exportName);
  const result = await runOnHost({ ...spec, ...options }, limits);
  const word = (index: number): number => {
    const { hi, lo } = fromLinear(tables.words[index]!);
    return memory.peek32(hi, lo);
  };
  const counter = (which: number): number =>
    result.cpus.reduce((sum, { counters }) => sum + counters[which]!, 0);
  return { result, word, counter };
}

async function failure(
  exportName: string,
  options: Partial<HostSpec> = {},
  limits: HostLimits = PATIENT,
): Promise<Error> {
  return run(exportName, options, limits).then(
    () => new Error('the run ended without an error'),
    (error: Error) => error,
  );
}

/** Delays that make a missing step show within a test. */
const ROUGH = { napEvery: 64, tlbiLag: 16 };

describe('host engine: translation and TLBIs', () => {
  it('shows no old mapping after break-before-make', async () => {
    const { word, counter, result } = await run('remapped', ROUGH);
    expect(word(1)).toBe(0);
    expect(counter(Counter.TlbiBroadcast)).toBe(600);
    expect(counter(Counter.Exceptions)).toBeGreaterThan(0);
    expect(result.lostWakes).toBe(0);
  });

  it('keeps combined entries when only the IPA is invalidated', async () => {
    const { word } = await run('combinedForgotten', ROUGH);
    expect(word(1)).toBeGreaterThan(0);
  });

  it('shows an old mapping when nobody waits for the acknowledgements', async () => {
    const { word } = await run('barrierForgotten', { napEvery: 16, tlbiLag: 64 });
    expect(word(1)).toBeGreaterThan(0);
  });

  it('answers a TLBI inside a wait with interrupts masked, an IPI only after', async () => {
    const { word } = await run('masked');
    expect([word(1), word(2)]).toEqual([1, 2]);
  });

  it('lets finished CPUs answer, and waits for room in the log', async () => {
    const { word, counter } = await run('finishedCpus');
    expect([word(0), word(1)]).toEqual([1, 3_000]);
    expect(counter(Counter.DvmReceived)).toBe(6_000);
  });
});

describe('host engine: exceptions', () => {
  it('repeats an attempt whose fault is handled, and leaves out one that is skipped', async () => {
    const { word, counter } = await run('faulting');
    expect(word(0)).toBe(2);
    expect(word(1)).toBe(7);
    expect(word(2)).toBe(5);
    expect(word(3) & ~3).toBe(4);
    expect(counter(Counter.Exceptions)).toBe(2);
  });

  it('refuses a program that repeats without yielding', async () => {
    const error = await failure('impatient');
    expect(error).toBeInstanceOf(BugError);
    expect(error.message).toMatch(/repeats an attempt without yielding/);
  });
});

describe('host engine: oracles and watchdog', () => {
  it('finds two owners of a lock by ghost words', async () => {
    const error = await failure('unguarded', { napEvery: 64 });
    expect(error).toBeInstanceOf(CheckError);
    expect(error.message).toMatch(
      /^exclusion: cpu \d (acquires|releases) a lock that .*, at word0$/,
    );
  });

  it('ends a livelock with the last operations of each CPU', async () => {
    const error = await failure('fruitless', {}, { ...PATIENT, livelockMs: 700 });
    expect(error).toBeInstanceOf(StallError);
    expect(error.message).toMatch(/no operation completed in 700 ms: cpu 0 runs \(last: /);
    expect(error.message).toMatch(/cpu 2 runs \(last: .*store word0, swap word1/);
  });

  it('runs rounds over memory as it was booted, each checked', async () => {
    const { spec } = hostFixture(3, MODULE, 'rounds');
    const pristine = spec.memory.zones.map((zone) => zone.slice(0));
    const rounds = { seconds: 0.3, pristine };
    const result = await runOnHost({ ...spec, rounds, eventRoom: 64 }, PATIENT);
    expect(result.rounds).toBeGreaterThan(3);
    expect(result.marks).toEqual([result.rounds, result.rounds, result.rounds]);
  });
});
