/**
 * Grace periods are long enough: what was unlinked is freed after every read-side section that was
 * open when it was unlinked. The sections are exact (events of rcu_read_lock and rcu_read_unlock),
 * beside the program's own grace periods. As src/checkers/table-lifetime.ts, at the very step.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const SHORT_GRACE_PERIOD = 'short-grace-period';

export const SHORT_GRACE_PERIOD_FACTS: OracleFacts = {
  name: SHORT_GRACE_PERIOD,
  description: 'what was unlinked is freed after every section that was open then',
  engines: ['explore', 'host', 'virtual'],
};

export function makeGracePeriod(context: OracleContext): StressOracle {
  /** By CPU: number of its open section, counted over the run; -1 = none. */
  const sections = new Int32Array(context.cpuCount).fill(-1);
  /** By object: the open sections when it was unlinked. */
  const unlinked = new Map<number, Int32Array>();
  let count = 0;

  return {
    name: SHORT_GRACE_PERIOD,
    event(cpu, kind, hi, lo) {
      switch (kind) {
        case EventKind.RcuReadLock:
          sections[cpu] = count++;
          break;
        case EventKind.RcuReadUnlock:
          sections[cpu] = -1;
          break;
        case EventKind.ObjectUnlinked:
        case EventKind.TablePageUnlinked:
          unlinked.set(addressKey(hi & 0xffff, lo), sections.slice());
          break;
        case EventKind.ObjectFreed:
        case EventKind.TablePageFreed: {
          const key = addressKey(hi & 0xffff, lo);
          const open = unlinked.get(key);
          unlinked.delete(key);
          if (open === undefined) return;
          for (let other = 0; other < open.length; other++) {
            if (open[other] === -1 || open[other] !== sections[other]) continue;
            const text = 'frees an object while a section is open that may use it';
            context.fail({ oracle: SHORT_GRACE_PERIOD, cpus: [cpu, other], text, hi, lo });
          }
          break;
        }
        default:
      }
    },
  };
}
