/**
 * Break-before-make and its neighbours (bbm-automaton.ts, tree-rules.ts) over a schedule of the
 * explore engine, which tells stores when walkers can see them.
 *
 * A word is a descriptor if its page is a table: told so when it was handed out, or seen by a
 * hardware walk. Roots are learnt from the root registers; owners of trees from TableRoot events.
 */

import { EventKind, Regime, Register } from '../../cpu/operations.ts';
import type { TlbiOperation, Translated } from '../../engine/explore/observer.ts';
import { BbmAutomaton } from './bbm-automaton.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';
import { pageNumber, TableTrees } from './table-trees.ts';
import { TreeRules } from './tree-rules.ts';

export const BREAK_BEFORE_MAKE = 'break-before-make';

export const BREAK_BEFORE_MAKE_FACTS: OracleFacts = {
  name: BREAK_BEFORE_MAKE,
  description:
    'a valid descriptor is broken, flushed by TLBIs that cover it, and only then made anew',
  // Not on the host: stores to one descriptor that race have no order that numbers can tell.
  engines: ['explore', 'virtual'],
};

const STAGE2_START_LEVEL = 1;
/** 4K pages, 48 bits. */
const KERNEL_START_LEVEL = 0;

export function makeBreakBeforeMake(
  context: OracleContext,
  word: (hi: number, lo: number) => number,
): StressOracle {
  return new BreakBeforeMake(context, word);
}

class BreakBeforeMake implements StressOracle {
  readonly name = BREAK_BEFORE_MAKE;
  readonly #context: OracleContext;
  readonly #word: (hi: number, lo: number) => number;
  readonly #trees: TableTrees;
  readonly #automaton: BbmAutomaton;
  readonly #rules = new TreeRules();
  /** Pages that are tables. */
  readonly #tables = new Set<number>();
  /** By CPU: page of the stage-2 root that it has. */
  readonly #roots: Int32Array;

  constructor(context: OracleContext, word: (hi: number, lo: number) => number) {
    this.#context = context;
    this.#word = word;
    this.#trees = new TableTrees(word);
    this.#automaton = new BbmAutomaton(this.#trees, {
      stores: 'visible',
      sizesMayDiffer: context.sizesMayDiffer ?? false,
      word,
      fail: (cpu, text, hi, lo) => this.#fail([cpu], text, hi, lo),
    });
    this.#roots = new Int32Array(context.cpuCount).fill(-1);
    this.#addKernelRoots();
  }

  #addKernelRoots(): void {
    for (const { hi, lo } of this.#context.kernelRoots ?? []) {
      this.#trees.add(pageNumber(hi, lo), 1, KERNEL_START_LEVEL);
    }
  }

  begin(): void {
    this.#tables.clear();
    this.#roots.fill(-1);
    this.#trees.begin();
    this.#addKernelRoots();
    this.#automaton.begin();
    this.#rules.begin();
  }

  event(cpu: number, kind: number, hi: number, lo: number): void {
    switch (kind) {
      case EventKind.TablePageAllocated:
        this.#tables.add(pageNumber(hi, lo));
        this.#changesHands(cpu, 'is given', hi, lo);
        break;
      case EventKind.TablePageFreed:
        this.#tables.delete(pageNumber(hi, lo));
        this.#changesHands(cpu, 'frees', hi, lo);
        break;
      case EventKind.TableRoot:
        this.#rules.tell(pageNumber(hi, lo), { owner: hi >>> 16 });
        this.#trees.add(pageNumber(hi, lo), 2, lo & 0xfff);
        break;
      default:
    }
  }

  #changesHands(cpu: number, what: string, hi: number, lo: number): void {
    if (!this.#automaton.waits) return;
    this.#automaton.pageChangesHands(cpu, pageNumber(hi, lo), what, hi & 0xffff, lo);
  }

  setRoot(cpu: number, register: number, hi: number, lo: number): void {
    if (register !== Register.Vttbr) return;
    const page = pageNumber(hi, lo);
    this.#roots[cpu] = page;
    this.#trees.add(page, 2, STAGE2_START_LEVEL);
  }

  walkRead(_cpu: number, hi: number, lo: number): void {
    this.#tables.add(pageNumber(hi, lo));
  }

  wrote(cpu: number, hi: number, lo: number, bytes: number, oldLo: number, oldHi: number): void {
    if (bytes !== 8 || !this.#tables.has(pageNumber(hi, lo))) return;
    const newHi = this.#word(hi, lo + 4);
    this.#automaton.store(cpu, hi, lo, oldHi, oldLo, newHi, this.#word(hi, lo));
  }

  tlbi(operation: TlbiOperation): void {
    this.#automaton.tlbi(operation);
    if (this.#rules.knows) this.#rules.tlbi(operation);
  }

  dsb(cpu: number): void {
    if (this.#automaton.waits) this.#automaton.dsb(cpu);
    if (this.#rules.knows) this.#rules.dsb(cpu);
  }

  translated({ cpu, regime, context, paHi, paLo }: Translated): void {
    const root = this.#roots[cpu]!;
    if (regime !== Regime.Guest || root < 0) return;
    const vmid = context >>> 16;
    this.#automaton.used(root, vmid);
    const other = this.#rules.used(cpu, root, vmid);
    if (other === null) return;
    const cpus = other === cpu ? [cpu] : [cpu, other];
    this.#fail(cpus, 'uses a VMID that translations of another VM may have', paHi, paLo);
  }

  #fail(cpus: readonly number[], text: string, hi: number, lo: number): void {
    this.#context.fail({ oracle: BREAK_BEFORE_MAKE, cpus, text, hi, lo });
  }
}
