/**
 * Break-before-make and the rules of trees: programs that break a rule, after the bad_* examples of
 * casemate (rems-project/casemate, examples/tests), written anew here, and their good counterparts.
 * A small tree of two levels in a made-up memory; stores, TLBIs and DSBs are told by hand.
 */

import { beforeEach, describe, expect, it } from 'vitest';
import { Regime, Tlbi } from '../../../../src/cpu/operations.ts';
import { BbmAutomaton } from '../../../../src/stress/oracles/bbm-automaton.ts';
import { pageNumber, TableTrees } from '../../../../src/stress/oracles/table-trees.ts';
import { TreeRules } from '../../../../src/stress/oracles/tree-rules.ts';
import { S2_READ, S2_WRITE } from '../../../../src/translation/stage2-descriptors.ts';

const ROOT = 0x1000;
const TABLE = 0x2000;
const SPARE = 0x3000;
const LEAF = 3 | S2_READ | S2_WRITE;
const READ_ONLY = 3 | S2_READ;
const A = 0x10_0000;
const B = 0x20_0000;
const VMID = 5;
/** First address that the table's entries map: entry 1 of a root at level 2. */
const BASE = 0x20_0000;
const PAGE = 0x1000;

class Bench {
  readonly memory = new Map<number, number>();
  readonly said: string[] = [];
  readonly word = (_hi: number, lo: number): number => this.memory.get(lo) ?? 0;
  readonly trees = new TableTrees(this.word);
  readonly rules = new TreeRules();
  readonly automaton: BbmAutomaton;
  readonly #context: number;

  constructor(stage: 1 | 2 = 2, stores: 'visible' | 'until-dsb' = 'until-dsb', bbm = false) {
    this.#context = stage === 2 ? VMID << 16 : 0;
    this.automaton = new BbmAutomaton(this.trees, {
      stores,
      sizesMayDiffer: bbm,
      word: this.word,
      fail: (_cpu, text) => this.said.push(text),
    });
    this.memory.set(ROOT + 8, TABLE | 3);
    this.memory.set(TABLE, A | LEAF);
    this.memory.set(TABLE + 8, (A + PAGE) | LEAF);
    this.trees.add(pageNumber(0, ROOT), stage, 2);
    this.automaton.used(pageNumber(0, ROOT), VMID);
  }

  store(at: number, value: number, cpu = 0): this {
    const old = this.memory.get(at) ?? 0;
    this.memory.set(at, value);
    this.automaton.store(cpu, 0, at, 0, old, 0, value);
    return this;
  }

  /** DSB ISHST. */
  visible(cpu = 0): this {
    this.automaton.storesVisible(cpu);
    return this;
  }

  dsb(cpu = 0): this {
    this.automaton.dsb(cpu);
    this.rules.dsb(cpu);
    return this;
  }

  tlbi(operation: Tlbi, lo = 0, pages = 1, { vmid = VMID, issuer = 0 } = {}): this {
    const context = this.#context === 0 ? 0 : vmid << 16;
    const regime = context === 0 ? Regime.Host : Regime.Guest;
    const told = { issuer, operation, regime, context, hi: 0, lo, pages };
    this.automaton.tlbi(told);
    this.rules.tlbi(told);
    return this;
  }

  /** What KVM does after a break. */
  flush(lo: number, more = {}): this {
    return this.visible()
      .tlbi(Tlbi.IpaS2E1Is, lo, 1, more)
      .dsb()
      .tlbi(Tlbi.VmallE1Is, 0, 1, more)
      .dsb();
  }

  get silent(): boolean {
    return this.said.length === 0;
  }
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

describe('a valid descriptor', () => {
  it('is not replaced by another output (bad_no_bbm)', () => {
    expect(bench.store(TABLE, B | LEAF).said).toEqual([
      'changes a valid descriptor without breaking it first',
    ]);
  });

  it('is not replaced in stage 1 either (bad_no_bbm_stage1)', () => {
    bench = new Bench(1);
    expect(bench.store(TABLE, B | LEAF).said[0]).toMatch(/without breaking/);
  });

  it('may change its permissions, access flag, dirty state and software bits in place', () => {
    bench.automaton.store(0, 0, TABLE, 0, A | LEAF, 0x0780_0000, A | READ_ONLY | (1 << 10));
    bench.automaton.store(0, 0, TABLE, 0, A | LEAF, 1 << 22, A | 3);
    expect(bench.silent).toBe(true);
  });

  it('may get another output if nobody can write and the contents are the same', () => {
    bench.memory.set(TABLE, A | READ_ONLY);
    expect(bench.store(TABLE, B | READ_ONLY).silent).toBe(true);
    bench.memory.set(B + PAGE + 4, 1);
    bench.memory.set(TABLE + 8, (A + PAGE) | READ_ONLY);
    expect(bench.store(TABLE + 8, (B + PAGE) | READ_ONLY).silent).toBe(false);
  });

  it('may become a table without a break where FEAT_BBM says so', () => {
    const block = 1 | S2_READ | S2_WRITE;
    for (const bbm of [false, true]) {
      bench = new Bench(2, 'visible', bbm);
      bench.memory.set(ROOT + 16, 0x40_0000 | block);
      expect(bench.store(ROOT + 16, SPARE | 3).silent).toBe(bbm);
    }
  });
});

describe('a broken descriptor', () => {
  const make = (): string | undefined => bench.store(TABLE, B | LEAF).said[0];

  it('is made anew after store, DSB, TLBI, DSB, and again for stage 1 (good_bbm)', () => {
    bench.store(TABLE, 0).flush(BASE);
    expect(make()).toBeUndefined();
  });

  it('needs a TLBI (bad_bbm_missing_tlbi)', () => {
    bench.store(TABLE, 0).visible().dsb();
    expect(make()).toMatch(/no TLBI/);
  });

  it('needs a TLBI of its VMID (bad_bbm_by_wrong_VMID)', () => {
    bench.store(TABLE, 0).flush(BASE, { vmid: VMID + 1 });
    expect(make()).toMatch(/does not cover it/);
  });

  it('needs a TLBI of its address', () => {
    bench.store(TABLE, 0).flush(BASE + PAGE);
    expect(make()).toMatch(/does not cover it/);
  });

  it('needs its store visible before the TLBI', () => {
    bench.store(TABLE, 0).tlbi(Tlbi.VmallS12E1Is).dsb();
    expect(make()).toMatch(/no TLBI/);
  });

  it('needs the DSB after the TLBI, of the CPU that issued it', () => {
    bench.store(TABLE, 0).visible().tlbi(Tlbi.VmallS12E1Is).dsb(1);
    expect(make()).toMatch(/not complete/);
  });

  it('needs the combined entries of stage 1 gone, after stage 2', () => {
    bench.store(TABLE, 0).visible().tlbi(Tlbi.VmallE1Is).dsb().tlbi(Tlbi.IpaS2E1Is, BASE).dsb();
    expect(make()).toMatch(/stage 2 alone/);
  });

  it('needs a broadcast', () => {
    bench.store(TABLE, 0).visible().tlbi(Tlbi.IpaS2E1, BASE).dsb().tlbi(Tlbi.VmallE1).dsb();
    expect(make()).toMatch(/no TLBI/);
  });

  it('is taken by ranges, by VMID and by everything', () => {
    for (const operation of [Tlbi.VmallS12E1Is, Tlbi.AllE1Is]) {
      bench = new Bench();
      bench.store(TABLE, 0).visible().tlbi(operation).dsb();
      expect(make()).toBeUndefined();
    }
    bench = new Bench();
    bench
      .store(TABLE, 0)
      .visible()
      .tlbi(Tlbi.RipaS2E1Is, BASE - PAGE, 2)
      .dsb();
    bench.tlbi(Tlbi.VmallE1Is).dsb();
    expect(make()).toBeUndefined();
  });

  it('may come back as it was without a flush', () => {
    expect(bench.store(TABLE, 0).store(TABLE, A | LEAF).silent).toBe(true);
  });
});

describe('a table that goes', () => {
  const replace = (): string | undefined => bench.store(ROOT + 8, 0x40_0000 | 1 | S2_READ).said[0];

  it('needs every leaf below it covered', () => {
    bench.store(ROOT + 8, 0).flush(BASE);
    expect(replace()).toMatch(/only a part/);
    bench = new Bench();
    bench
      .store(ROOT + 8, 0)
      .visible()
      .tlbi(Tlbi.RipaS2E1Is, BASE, 2)
      .dsb();
    bench.tlbi(Tlbi.VmallE1Is).dsb();
    expect(replace()).toBeUndefined();
  });

  it('is not covered by forms for the last level', () => {
    const last = (operation: Tlbi): string | undefined => {
      bench = new Bench(1);
      bench
        .store(TABLE, 0)
        .store(TABLE + 8, 0)
        .visible()
        .tlbi(Tlbi.VmallHostIs)
        .dsb();
      bench
        .store(ROOT + 8, 0)
        .visible()
        .tlbi(operation, BASE)
        .dsb();
      return replace();
    };
    expect(last(Tlbi.VaLE1Is)).toMatch(/does not cover it/);
    expect(last(Tlbi.VaE1Is)).toBeUndefined();
  });

  it('is not freed before it is flushed (bad_free_page_without_clean)', () => {
    bench.store(ROOT + 8, 0).visible();
    bench.automaton.pageChangesHands(0, pageNumber(0, TABLE), 'frees', 0, TABLE);
    expect(bench.said[0]).toMatch(/^frees a table page after no TLBI/);
  });

  it('is not used again before it is flushed (bad_reuse_page)', () => {
    bench
      .store(ROOT + 8, 0)
      .visible()
      .tlbi(Tlbi.VmallS12E1Is);
    bench.automaton.pageChangesHands(0, pageNumber(0, TABLE), 'is given', 0, TABLE);
    expect(bench.said[0]).toMatch(/^is given a table page after a TLBI that is not complete/);
  });

  it('may be freed when it is flushed (good_free_page)', () => {
    bench
      .store(ROOT + 8, 0)
      .visible()
      .tlbi(Tlbi.VmallS12E1Is)
      .dsb();
    bench.automaton.pageChangesHands(0, pageNumber(0, TABLE), 'frees', 0, TABLE);
    expect(bench.silent).toBe(true);
  });
});

describe('a tree', () => {
  const LOCK = 77;
  const root = pageNumber(0, ROOT);
  const place = () => bench.trees.placeOf(pageNumber(0, TABLE))!;

  it('is written under its lock (bad_unlocked_write)', () => {
    bench.rules.tell(root, { owner: 1, lock: LOCK });
    expect(bench.rules.written(0, place())).toMatch(/without the lock/);
    bench.rules.locked(0, LOCK);
    expect(bench.rules.written(0, place())).toBeNull();
    bench.rules.unlocked(0, LOCK);
    expect(bench.rules.written(0, place())).toMatch(/without the lock/);
  });

  it('is written under its own lock, not another (bad_no_assoc_lock)', () => {
    bench.rules.tell(root, { owner: 1, lock: LOCK });
    bench.rules.locked(0, LOCK + 1);
    expect(bench.rules.written(0, place())).toMatch(/without the lock/);
  });

  it('is not written while another holds its lock (bad_race)', () => {
    bench.rules.tell(root, { owner: 1, lock: LOCK });
    bench.rules.locked(1, LOCK);
    expect(bench.rules.written(0, place())).toMatch(/another holds/);
  });

  it('is switched to with its own tag (bad_switch_wrong_vmid, bad_EL2_ASID)', () => {
    bench.rules.tell(root, { owner: 1, tag: VMID });
    expect(bench.rules.switched(root, VMID)).toBeNull();
    expect(bench.rules.switched(root, VMID + 1)).toMatch(/with tag 6/);
    bench.rules.tell(root, { owner: 0, tag: 0 });
    expect(bench.rules.switched(root, 3)).toMatch(/of tag 0/);
  });

  it('shares no tag with another before a flush (bad_overlap_VMID, bad_overlap_ASID)', () => {
    bench.rules.tell(root, { owner: 1 });
    bench.rules.tell(root + 1, { owner: 2 });
    expect(bench.rules.used(0, root, VMID)).toBeNull();
    expect(bench.rules.used(1, root + 1, VMID)).toBe(0);
    bench.tlbi(Tlbi.AllE1Is);
    expect(bench.rules.used(1, root + 1, VMID)).toBe(0);
    bench.dsb();
    expect(bench.rules.used(1, root + 1, VMID)).toBeNull();
  });
});
