/**
 * The registry: every entry builds a lock of its own name, and bad names are refused in one
 * line.
 */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import {
  isReadWriteLock,
  LOCK_NAMES,
  LOCKS,
  makeLock,
  readWriteLockByName,
  spinlockByName,
} from '../../../src/sync/registry.ts';

describe('registry of locks', () => {
  it('builds every lock under its own name, with its read side if it has one', () => {
    for (const name of LOCK_NAMES) {
      const lock = makeLock(name);
      expect(lock.name).toBe(name);
      expect(isReadWriteLock(lock)).toBe(LOCKS[name]!.kind === 'read-write');
      expect(LOCKS[name]!.facts.description).not.toBe('');
    }
  });

  it('knows the names that kernel options use', () => {
    expect(spinlockByName('spinlock').name).toBe('qspinlock');
    expect(readWriteLockByName('spinlock').name).toBe('qspinlock');
    expect(readWriteLockByName('qrwlock').name).toBe('qrwlock');
  });

  it('refuses what it does not know, in one line', () => {
    expect(() => makeLock('tiket')).toThrow(UserError);
    expect(() => makeLock('tiket')).toThrow(/unknown lock 'tiket'; locks are tas, ttas/);
    expect(() => makeLock('toString')).toThrow(UserError);
    expect(() => spinlockByName('rwsem')).toThrow(/'rwsem' is no spinlock; spinlocks are tas/);
  });
});
