/** Promise: a replay string carries a schedule unchanged, and each kind of misfit is told apart. */

import { describe, expect, it } from 'vitest';
import {
  checkReplay,
  decodeReplay,
  encodeReplay,
  type ReplayRecord,
} from '../../../src/stress/replay-string.ts';

const RECORD: ReplayRecord = {
  target: 'ticket',
  mutant: 'M05',
  cpus: 3,
  operations: 2,
  model: 'tso',
  seed: 9007199254740992,
  schedule: 812,
  build: '0123456789ab',
  userHash: '',
  signature: 'exclusion@owner0',
  segments: [
    { block: 0, cpu: 1, program: 'take', operation: 'add32', field: 'lock0', nth: 1 },
    { block: 1, cpu: 1, program: 'drain', operation: 'drain', field: 'lock0+2', nth: 2 },
    { block: 0, cpu: 0, program: 'take', operation: 'add32', field: 'lock0', nth: 1 },
  ],
  values: [0, 0, 0, 1, 0],
};

const NOTHING = {
  target: undefined,
  mutant: undefined,
  cpus: undefined,
  operations: undefined,
  model: undefined,
};

describe('a replay string', () => {
  it('comes back as it went', () => {
    expect(decodeReplay(encodeReplay(RECORD))).toEqual(RECORD);
    expect(decodeReplay(`  ${encodeReplay(RECORD)}\n`)).toEqual(RECORD);
  });

  it('is short', () => {
    expect(encodeReplay(RECORD).length).toBeLessThan(260);
  });

  it('notices every changed character', () => {
    const text = encodeReplay(RECORD);
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'A' ? 'B' : 'A';
      const changed = text.slice(0, at) + other + text.slice(at + 1);
      expect(() => decodeReplay(changed), changed).toThrow(/replay string/);
    }
  });

  it.each([
    ['', /starts with nl1/],
    ['hello', /starts with nl1/],
    ['nl2.abc.def', /has version nl2; this numalab reads nl1/],
    ['nl1.abc', /is damaged/],
    [encodeReplay(RECORD).slice(0, -3), /is damaged/],
    [`${encodeReplay(RECORD)}x`, /is damaged/],
  ])('refuses %s', (text, message) => {
    expect(() => decodeReplay(text)).toThrow(message);
  });

  it('says what else it is of', () => {
    const refused =
      (more: object): (() => void) =>
      () =>
        checkReplay(RECORD, { ...NOTHING, ...more });
    expect(refused({})).not.toThrow();
    expect(refused({ target: 'ticket', cpus: 3 })).not.toThrow();
    expect(refused({ target: 'mcs' })).toThrow('of another target: ticket, not mcs');
    expect(refused({ mutant: '' })).toThrow('of another mutant: M05, not none');
    expect(refused({ cpus: 4 })).toThrow('of another CPU count: 3, not 4');
    expect(refused({ operations: 1 })).toThrow('of another number of operations: 2, not 1');
    expect(refused({ model: 'sc' })).toThrow('of another memory model: tso, not sc');
  });
});
