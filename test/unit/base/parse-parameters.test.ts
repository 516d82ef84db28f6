/** Promise: bad values of parameters are refused in one line that says what would be right. */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import type { Parameter } from '../../../src/base/parameters.ts';
import { formatCpulist, parseCpulist } from '../../../src/base/parse-cpulist.ts';
import { parseAssignment, resolveParameters } from '../../../src/base/parse-parameters.ts';
import { parseCount, parseSeed, parseSize, parseTimePs } from '../../../src/base/parse-quantity.ts';

const tables: readonly Parameter[] = [
  { name: 'memory', alias: 'b', kind: 'size', default: '1G', description: 'memory' },
  { name: 'iterations', alias: 'i', kind: 'count', default: '2', description: 'iterations' },
  { name: 'delay', kind: 'time', default: '0', unit: 'ns', description: 'delay' },
  { name: 'faults', kind: 'choice', values: ['a', 'parallel'], default: 'a', description: 'f' },
  { name: 'manual', kind: 'flag', default: 'on', description: 'manual' },
  { name: 'writes', kind: 'percent', default: '100', description: 'share of writes' },
  { name: 'vcpus', kind: 'count', default: '', description: 'number of vCPUs' },
  { name: 'skip', kind: 'count', default: '0', description: 'may be none' },
];

function resolve(...words: string[]) {
  return resolveParameters(tables, words.map(parseAssignment), 'demo');
}

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toContain('\n');
    return (error as Error).message;
  }
  return 'accepted';
}

describe('parameters', () => {
  it('resolves values, aliases and defaults', () => {
    const { values, given } = resolve('b=2M', 'delay=1.5us', 'manual=off', 'writes=30%');
    expect(values).toEqual({
      memory: 2 * 1024 * 1024,
      iterations: 2,
      delay: 1_500_000,
      faults: 'a',
      manual: false,
      writes: 30,
      vcpus: '',
      skip: 0,
    });
    expect([...given].sort()).toEqual(['delay', 'manual', 'memory', 'writes']);
  });

  it('refuses with one line that names the key', () => {
    expect(refusal(() => resolve('iteratons=3'))).toMatch(/iteratons.*did you mean 'iterations'/);
    expect(refusal(() => resolve('faults=paralel'))).toMatch(/faults.*did you mean 'parallel'/);
    expect(refusal(() => resolve('i=1', 'iterations=2'))).toMatch(/iterations is given twice/);
    expect(refusal(() => resolve('i=1..64'))).toMatch(/ranges come with numalab sweep/);
    expect(refusal(() => resolve('manual=maybe'))).toMatch(/neither on nor off/);
    expect(refusal(() => resolve('memory=1.5G'))).toMatch(/no size/);
    expect(refusal(() => resolve('writes=101'))).toMatch(/too large.*100/);
    for (const bad of ['0', '-1', '1.5', '', '1e3', '0x10', '9'.repeat(30), 'NaN', ' 3']) {
      expect(
        refusal(() => resolve(`i=${bad}`)),
        bad,
      ).toMatch(/^i: .*give a whole number/);
    }
    expect(refusal(() => parseAssignment('lonely'))).toMatch(/write key=value/);
    expect(refusal(() => parseAssignment('=3'))).toMatch(/write key=value/);
  });
});

describe('quantities', () => {
  const any = { minimum: 0, maximum: Number.MAX_SAFE_INTEGER };

  it('reads sizes as the kernel does', () => {
    expect(parseSize('b', '64K', any)).toBe(65536);
    expect(parseSize('b', '2g', any)).toBe(2 ** 31);
    expect(parseSize('b', '4096', any)).toBe(4096);
    expect(refusal(() => parseSize('b', '99999999T', any))).toMatch(/too large/);
    expect(refusal(() => parseSize('b', 'K', any))).toMatch(/no size/);
  });

  it('reads times to whole picoseconds', () => {
    expect(parseTimePs('t', '10us', '', any)).toBe(1e7);
    expect(parseTimePs('t', '1', 'ms', any)).toBe(1e9);
    expect(parseTimePs('t', '0.3ns', '', any)).toBe(300);
    expect(refusal(() => parseTimePs('t', '5', '', any))).toMatch(/needs a unit/);
    expect(refusal(() => parseTimePs('t', '5min', '', any))).toMatch(/no time/);
    expect(refusal(() => parseTimePs('t', '1..4us', '', any))).toMatch(/sweep/);
  });

  it('takes seeds up to 2^53 exactly', () => {
    expect(parseSeed('--seed', '9007199254740992')).toBe(2 ** 53);
    expect(refusal(() => parseSeed('--seed', '9007199254740993'))).toMatch(/beyond 2\^53/);
    for (const bad of ['-1', '1.5', '', 'abc', '12345678901234567890']) {
      expect(
        refusal(() => parseSeed('--seed', bad)),
        bad,
      ).toMatch(/2\^53/);
    }
  });

  it('keeps counts within bounds', () => {
    expect(parseCount('n', '007', any)).toBe(7);
    expect(refusal(() => parseCount('n', '5', { minimum: 1, maximum: 4 }))).toMatch(/from 1 to 4/);
  });
});

describe('cpulists', () => {
  it('reads and writes them, keeping the order', () => {
    expect(parseCpulist('--cpus', '0-2,8')).toEqual([0, 1, 2, 8]);
    expect(parseCpulist('--cpus', '3,1')).toEqual([3, 1]);
    expect(formatCpulist([0, 1, 2, 8, 9, 4])).toBe('0-2,8-9,4');
  });

  it('refuses what is no list', () => {
    for (const bad of ['', '1-', 'a', '4-2', '1,,2', '0-99999999', '1,0-2']) {
      expect(
        refusal(() => parseCpulist('--cpus', bad)),
        bad,
      ).toMatch(/^--cpus: /);
    }
  });
});
