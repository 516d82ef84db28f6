/**
 * Break-before-make and its neighbours (bbm-automaton.ts, tree-rules.ts) over a schedule of the
 * explore engine, which tells stores when walkers can see them.
 *
 * A word is a descriptor if its page is a table: told so when it was handed out, or seen by a
 * hardware walk. Roots are learnt from the root registers; owners of trees from TableRoot events.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind, Regime, Register } from '../../cpu/operations.ts';
import { BbmAutomaton } from './bbm-automaton.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';
import { pageNumber, TableTrees } from './table-trees.ts';
import { TreeRules } from './tree-rules.ts';

export const BREAK_BEFORE_MAKE = 'break-before-make';

export const BREAK_BEFORE_MAKE_FACTS: OracleFacts = {
  name: BREAK_BEFORE_MAKE,
  description:
    'a valid descriptor is broken, flushed by TLBIs that cover it, and only then made anew',
  engines: ['explore', 'virtual'],
};

const STAGE2_START_LEVEL = 1;

export function makeBreakBeforeMake(
  context: OracleContext,
  word: (hi: number, lo: number) => number,
): StressOracle {
  const trees = new TableTrees(word);
  const rules = new TreeRules();
  const tables = new Set<number>();
  /** By CPU: page of the stage-2 root that it has. */
  const roots = new Int32Array(context.cpuCount).fill(-1);

  const fail = (cpu: number, text: string, hi: number, lo: number, other?: number): void => {
    const cpus = other === undefined || other === cpu ? [cpu] : [cpu, other];
    context.fail({ oracle: BREAK_BEFORE_MAKE, cpus, text, hi, lo });
  };
  const automaton = new BbmAutomaton(trees, {
    stores: 'visible',
    sizesMayDiffer: context.sizesMayDiffer ?? false,
    word,
    fail,
  });

  return {
    name: BREAK_BEFORE_MAKE,
    begin() {
      tables.clear();
      roots.fill(-1);
      trees.begin();
      automaton.begin();
      rules.begin();
    },
    event(cpu, kind, hi, lo) {
      switch (kind) {
        case EventKind.TablePageAllocated:
          tables.add(pageNumber(hi, lo));
          if (automaton.waits) {
            automaton.pageChangesHands(cpu, pageNumber(hi, lo), 'is given', hi & 0xffff, lo);
          }
          break;
        case EventKind.TablePageFreed:
          tables.delete(pageNumber(hi, lo));
          if (automaton.waits) {
            automaton.pageChangesHands(cpu, pageNumber(hi, lo), 'frees', hi & 0xffff, lo);
          }
          break;
        case EventKind.TableRoot:
          rules.tell(pageNumber(hi, lo), { owner: hi >>> 16 });
          trees.add(pageNumber(hi, lo), 2, lo & 0xfff);
          break;
        case EventKind.LockAcquired:
        case EventKind.ReadLockAcquired:
          if (rules.knows) rules.locked(cpu, addressKey(hi, lo));
          break;
        case EventKind.LockReleased:
        case EventKind.ReadLockReleased:
          if (rules.knows) rules.unlocked(cpu, addressKey(hi, lo));
          break;
        default:
      }
    },
    setRoot(cpu, register, hi, lo) {
      if (register !== Register.Vttbr) return;
      const page = pageNumber(hi, lo);
      roots[cpu] = page;
      trees.add(page, 2, STAGE2_START_LEVEL);
    },
    walkRead(_cpu, hi, lo) {
      tables.add(pageNumber(hi, lo));
    },
    wrote(cpu, hi, lo, bytes, oldLo, oldHi) {
      if (bytes !== 8 || tables.size === 0) return;
      if (!tables.has(pageNumber(hi, lo))) return;
      automaton.store(cpu, hi, lo, oldHi, oldLo, word(hi, lo + 4), word(hi, lo));
    },
    tlbi(operation) {
      automaton.tlbi(operation);
      if (rules.knows) rules.tlbi(operation);
    },
    dsb(cpu) {
      if (automaton.waits) automaton.dsb(cpu);
      if (rules.knows) rules.dsb(cpu);
    },
    translated({ cpu, regime, context: tags, paHi, paLo }) {
      const root = roots[cpu]!;
      if (regime !== Regime.Guest || root < 0) return;
      const vmid = tags >>> 16;
      automaton.used(root, vmid);
      const other = rules.used(cpu, root, vmid);
      if (other === null) return;
      fail(cpu, 'uses a VMID that translations of another VM may have', paHi, paLo, other);
    },
  };
}
