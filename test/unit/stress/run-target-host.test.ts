/**
 * Stress targets on the host engine: every family holds a soak of a second, mutants are found,
 * and the lines are locktorture's.
 */

import { describe, expect, it } from 'vitest';
import { InterruptedError } from '../../../src/base/errors.ts';
import { mutantNamed, resolveTarget } from '../../../src/stress/registry.ts';
import {
  type HostStress,
  hostSize,
  runHostTarget,
  sourceOf,
  tortureLine,
} from '../../../src/stress/run-target-host.ts';
import { HOST_FAMILIES, soakFamily } from '../../soak/host-soak.ts';

async function runMutant(id: string, signal?: AbortSignal): Promise<HostStress> {
  const reference = { name: mutantNamed(id).name, mutant: id, lock: null };
  const target = await resolveTarget(reference);
  return runHostTarget(target, hostSize(target), {
    seconds: 20,
    seed: 1,
    source: sourceOf(reference),
    limits: { stallMs: 2_000 },
    ...(signal === undefined ? {} : { signal }),
  });
}

describe('soak of a second on the host engine', () => {
  for (const family of HOST_FAMILIES) {
    it(`${family} holds`, { timeout: 60_000 }, async () => {
      const { lines, failures } = await soakFamily(family, 1, 1);
      expect(failures, lines.join('\n')).toBe(0);
      expect(lines.length).toBeGreaterThan(0);
    });
  }
});

describe('mutants on the host engine', () => {
  it('two owners are found at once', async () => {
    const { kind, finding, lines } = await runMutant('M01');
    expect(kind).toBe('failed');
    expect(finding?.oracle).toBe('exclusion');
    expect(lines[0]).toMatch(/^Writes: {2}Total: \d+ {2}Max\/Min: \d+\/\d+ .*Fail: 1 !!!$/);
    expect(lines[1]).toMatch(/^exclusion: cpu \d .*, at lock\d$/);
  });

  it('a short grace period is found by what readers see, or by the events of a round', async () => {
    const { finding } = await runMutant('M42');
    expect(['short-grace-period', 'torn-read']).toContain(finding?.oracle);
  });

  it('a TLBI that reaches its own CPU only leaves a translation that is found', async () => {
    const { finding } = await runMutant('P05');
    expect(finding?.oracle).toBe('stale-tlb');
  });

  it('a deadlock says what each CPU waits for and did last', async () => {
    const { kind, finding, lines } = await runMutant('M07');
    expect([kind, finding]).toEqual(['failed', null]);
    expect(lines[1]).toBe('deadlock: no progress');
    expect(lines[2]).toMatch(/^ {2}cpu 0 waits for the word at lock\d.* \(last: .*cond lock\d/);
  });

  it('barriers that are missing do not show here', async () => {
    const reference = { name: 'tas', mutant: 'M03', lock: null };
    const target = await resolveTarget(reference);
    const options = { seconds: 0.5, seed: 1, source: sourceOf(reference) };
    expect((await runHostTarget(target, hostSize(target), options)).kind).toBe('passed');
  });

  it('hears an interrupt', async () => {
    const run = runMutant('M03', AbortSignal.timeout(300));
    await expect(run).rejects.toBeInstanceOf(InterruptedError);
  });
});

describe("locktorture's line", () => {
  it('marks unevenness and failures', () => {
    expect(tortureLine('Writes', [30, 20], 0)).toBe('Writes:  Total: 50  Max/Min: 30/20   Fail: 0');
    expect(tortureLine('Reads ', [50, 20], 2)).toBe(
      'Reads :  Total: 70  Max/Min: 50/20 ???  Fail: 2 !!!',
    );
  });
});
