/**
 * Promise: `--like` gives options that one kernel really ran; anything else is labelled as a what-
 * if with the nearest kernel, or refused in one line where it is impossible.
 */

import { describe, expect, it } from 'vitest';
import type { Parameters } from '../../../../src/base/parameters.ts';
import { resolveParameters } from '../../../../src/base/parse-parameters.ts';
import {
  checkLike,
  LIKE_VERSIONS,
  likePreset,
  whatIfLabel,
  whatIfOf,
} from '../../../../src/kernel/like.ts';
import { checkStage2Options, STAGE2_FAMILY } from '../../../../src/kernel/stage2/family.ts';
import {
  MMU_LOCKS,
  resolveStage2Options,
  STAGE2_PARAMETERS,
  type Stage2Options,
} from '../../../../src/kernel/stage2/options.ts';
import type { Features, Machine } from '../../../../src/machine/machine.ts';
import { readWriteLockByName } from '../../../../src/sync/registry.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

function machineWith(features: Partial<Features>): Machine {
  return makeTestMachine({ features });
}

const NEW = machineWith({ fwb: true, tlbirange: true, bbm: '2-noabort' });
const OLD = machineWith({ fwb: false, tlbirange: false, bbm: '0' });

function optionsOf(machine: Machine, words: Readonly<Record<string, string>>): Stage2Options {
  const assignments = Object.entries(words).map(([key, value]) => ({ key, value }));
  const { values } = resolveParameters(STAGE2_PARAMETERS, assignments, 'test');
  return resolveStage2Options(values, machine);
}

const presetOf = (version: string, machine: Machine) =>
  likePreset([STAGE2_FAMILY], version, machine);

const whatIfOfStage2 = (options: Stage2Options, machine: Machine) =>
  whatIfOf([STAGE2_FAMILY], options as unknown as Parameters, machine);

const checkStage2Like = (version: string, options: Stage2Options, machine: Machine) =>
  checkLike([STAGE2_FAMILY], version, options as unknown as Parameters, machine);

describe('kernel versions', () => {
  it.each(LIKE_VERSIONS)('%s is no what-if, on old and new CPUs', (version) => {
    for (const machine of [NEW, OLD]) {
      const options = optionsOf(machine, presetOf(version, machine));
      expect(whatIfOfStage2(options, machine)).toBeNull();
      checkStage2Options(options, machine);
      checkStage2Like(version, options, machine);
    }
  });

  it('defaults are the newest kernel', () => {
    for (const machine of [NEW, OLD]) {
      expect(whatIfOfStage2(optionsOf(machine, {}), machine)).toBeNull();
      checkStage2Like('v6.13', optionsOf(machine, {}), machine);
    }
    expect(optionsOf(OLD, {}).unmapFlush).toBe('per-pte');
    expect(optionsOf(NEW, {}).unmapFlush).toBe('range');
    expect(optionsOf(NEW, { manualProtect: 'off' }).initiallySet).toBe(false);
  });

  it('v6.0 shares the lock only for write-permission faults and broadcasts', () => {
    const preset = presetOf('v6.0', OLD);
    expect(preset['faults']).toBe('relax-shared');
    expect(preset['relaxTlbi']).toBe('broadcast');
    expect(presetOf('v5.17', OLD)['mmuLock']).toBe('spinlock');
  });

  it('labels what no kernel runs with the nearest one', () => {
    const whatIf = whatIfOfStage2(optionsOf(OLD, { mmapLock: 'none' }), OLD)!;
    expect(whatIf).toEqual({ options: ['mmapLock=none'], nearest: 'v6.13' });
    expect(whatIfLabel(whatIf)).toBe('what-if: mmapLock=none (nearest kernel: v6.13)');
    const older = whatIfOfStage2(
      optionsOf(OLD, { relaxTlbi: 'broadcast', zap: 'deferred-root' }),
      OLD,
    )!;
    expect(older).toEqual({ options: ['zap=deferred-root'], nearest: 'v6.2' });
  });

  it('refuses a what-if with --like, naming what the kernel has', () => {
    const options = optionsOf(OLD, { ...presetOf('v6.0', OLD), faults: 'parallel' });
    expect(() => checkStage2Like('v6.0', options, OLD)).toThrow(
      /faults=parallel.*faults=relax-shared/,
    );
    expect(() => checkStage2Like('v7', options, OLD)).toThrow(/v5\.17.*v6\.13/);
  });

  it.each([
    [{ unmapFlush: 'range' }, OLD, /FEAT_TLBIRANGE and FEAT_S2FWB/],
    [{ stage2Bbm: 'on' }, OLD, /cpu\.bbm=0/],
    [{ manualProtect: 'off', initiallySet: 'on' }, NEW, /-EINVAL/],
    [{ prune: 'immediate' }, NEW, /prune=rcu-callback/],
    [{ prune: 'immediate', faults: 'exclusive', writeProtect: 'lockless' }, NEW, /lockless/],
  ] as const)('refuses %o', (words, machine, message) => {
    expect(() => checkStage2Options(optionsOf(machine, words), machine)).toThrow(message);
  });

  it('names what every value follows, and every mmuLock exists', () => {
    for (const { name, values, follows } of STAGE2_PARAMETERS) {
      for (const value of values ?? []) expect(follows?.[value], `${name}=${value}`).toBeTruthy();
    }
    for (const name of MMU_LOCKS) expect(readWriteLockByName(name).name).toBeTruthy();
  });
});
