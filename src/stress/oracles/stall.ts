/**
 * Nobody can go on: a deadlock, with the circle of waiting if the holders are known, or a lost
 * wake-up, if a CPU sleeps that no interrupt or wake will reach and whoever waits for a word waits
 * for what the sleeper would have done.
 *
 * The engine knows the waits; who holds what comes from the locks' events. And livelock: steps are
 * taken without end, by a scheduler that was fair for the last part of them, and no operation ends.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { Finding } from '../target.ts';
import type { StressOracle, Wait } from './oracle.ts';

export const DEADLOCK = 'deadlock';
export const LOST_WAKE_UP = 'lost-wake-up';
export const LIVELOCK = 'livelock';

export interface StallOracle extends StressOracle {
  /** Every program that has not ended waits. */
  stalled(waits: readonly Wait[]): Finding;
  /** The step limit is reached under a fair scheduler. */
  endless(cpus: readonly number[]): Finding;
}

export function makeStall(): StallOracle {
  /** By CPU: what it asked for and has not got. */
  const asked = new Map<number, { key: number; hi: number; lo: number }>();
  /** By lock: who holds it. */
  const holders = new Map<number, number[]>();

  const hold = (cpu: number, key: number): void => {
    const list = holders.get(key);
    if (list === undefined) holders.set(key, [cpu]);
    else list.push(cpu);
    if (asked.get(cpu)?.key === key) asked.delete(cpu);
  };

  /** Follows "waits for a lock that is held by" from a CPU; empty = it leads nowhere. */
  const circleFrom = (start: number): number[] => {
    const path: number[] = [];
    let cpu = start;
    while (!path.includes(cpu)) {
      path.push(cpu);
      const wanted = asked.get(cpu);
      const holder = wanted === undefined ? undefined : holders.get(wanted.key)?.[0];
      if (holder === undefined) return [];
      cpu = holder;
    }
    return path.slice(path.indexOf(cpu));
  };

  return {
    name: DEADLOCK,
    event(cpu, kind, hi, lo) {
      const key = addressKey(hi, lo);
      if (kind === EventKind.LockAsked) asked.set(cpu, { key, hi, lo });
      else if (kind === EventKind.LockAcquired || kind === EventKind.ReadLockAcquired) {
        hold(cpu, key);
      } else if (kind === EventKind.LockReleased || kind === EventKind.ReadLockReleased) {
        const list = holders.get(key) ?? [];
        const at = list.indexOf(cpu);
        if (at >= 0) list.splice(at, 1);
      }
    },

    stalled(waits) {
      for (const { cpu } of waits) {
        const circle = circleFrom(cpu);
        if (circle.length === 0) continue;
        const { hi, lo } = asked.get(circle[0]!)!;
        const text =
          circle.length === 1
            ? 'waits for a lock that it holds itself'
            : 'waits for a lock whose holder waits, in a circle';
        return { oracle: DEADLOCK, cpus: circle, text, hi, lo };
      }
      const sleeper = waits.find(({ idle }) => idle);
      const { cpu, hi, lo } = sleeper ?? waits[0]!;
      const others = waits.filter((wait) => wait.cpu !== cpu).map((wait) => wait.cpu);
      const cpus = [cpu, ...others];
      if (sleeper !== undefined) {
        const text = 'sleeps, and nobody is left to wake it';
        const wanted = asked.get(cpu);
        return { oracle: LOST_WAKE_UP, cpus, text, hi: wanted?.hi ?? 0, lo: wanted?.lo ?? 0 };
      }
      const text = 'waits for a word that nobody is left to write';
      return { oracle: DEADLOCK, cpus, text, hi, lo };
    },

    endless(cpus) {
      const wanted = asked.get(cpus[0] ?? 0);
      const text = 'takes steps without end and gets nothing done';
      return { oracle: LIVELOCK, cpus, text, hi: wanted?.hi ?? 0, lo: wanted?.lo ?? 0 };
    },
  };
}
