/**
 * The host engine ends every run with one clear error and no thread left: a program that throws, a
 * thread that dies, a deadlock, an endless spin, a thread that doesn't listen, an interrupt.
 */

import { describe, expect, it } from 'vitest';
import { BugError, InterruptedError, StallError } from '../../../../src/base/errors.ts';
import { type HostLimits, runOnHost } from '../../../../src/engine/host/run-host.ts';
import { HOST_DEFAULTS, type HostResult, type HostSpec } from '../../../../src/engine/host/spec.ts';
import { toLinear } from '../../../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../../../src/memory/physical-memory.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

const MODULE = new URL('../../../../dist/test/unit/engine/host/host-scenarios.js', import.meta.url)
  .href;

function run(exportName: string, limits: HostLimits): Promise<HostResult> {
  const cpuCount = 3;
  const machine = makeTestMachine({ cpuCount, nodeCount: 1 });
  const area = toLinear({ hi: 0, lo: 0x4000 });
  const spec: HostSpec = {
    ...HOST_DEFAULTS,
    machine,
    memory: PhysicalMemory.allocate(machine.memoryBytesOfNode, 1 << 20),
    seed: 1,
    activeCpus: [0, 1, 2],
    perCpuHi: [area.hi, area.hi, area.hi],
    perCpuLo: [0x4000, 0x8000, 0xc000],
    streams: [],
    metricCount: 1,
    counterCount: 1,
    program: { module: MODULE, exportName },
    image: toLinear({ hi: 0, lo: 0x40 }),
    context: null,
  };
  return runOnHost(spec, limits);
}

/** The error and how long it took. */
async function failure(exportName: string, limits: HostLimits): Promise<[Error, number]> {
  const startMs = performance.now();
  const error = await run(exportName, limits).then(
    () => new Error('the run ended without an error'),
    (reason: Error) => reason,
  );
  return [error, performance.now() - startMs];
}

const PATIENT: HostLimits = { stallMs: 60_000 };

describe('host engine', () => {
  it('reports the program that threw, not the threads that stopped because of it', async () => {
    const [error, elapsedMs] = await failure('throwing', PATIENT);
    expect(error.message).toBe('the program of cpu 0 is broken');
    expect(elapsedMs).toBeLessThan(5_000);
  });

  it('ends the run when a thread dies', async () => {
    const [error, elapsedMs] = await failure('dying', PATIENT);
    expect(error).toBeInstanceOf(BugError);
    expect(error.message).toMatch(/thread of cpu 0 died: exit code 7/);
    expect(elapsedMs).toBeLessThan(5_000);
  });

  it('reports a deadlock as a result, with who waits for what', async () => {
    const [error] = await failure('deadlocked', { stallMs: 300 });
    expect(error).toBeInstanceOf(StallError);
    expect(error.message).toMatch(
      /no progress: cpu 0 waits for the word at 0x0000000000000040: Equal 1 under ffffffff/,
    );
  });

  it('ends an endless spin at the limit', async () => {
    const [error] = await failure('spinning', { stallMs: 60_000, limitMs: 700 });
    expect(error).toBeInstanceOf(StallError);
    expect(error.message).toMatch(/not finished after 700 ms: cpu 0 runs/);
  });

  it('terminates a thread that does not listen', async () => {
    const [error, elapsedMs] = await failure('deaf', { stallMs: 500 });
    expect(error).toBeInstanceOf(StallError);
    expect(elapsedMs).toBeLessThan(10_000);
  });

  it('hears an interrupt', async () => {
    const [error] = await failure('deadlocked', {
      stallMs: 60_000,
      signal: AbortSignal.timeout(300),
    });
    expect(error).toBeInstanceOf(InterruptedError);
  });

  it('names an exception that nobody handles', async () => {
    const [error] = await failure('guest', PATIENT);
    expect(error.message).toMatch(/cpu \d takes an exception without a handler: FSC 0x4 at 0+1000/);
  });
});
