/**
 * Promises: with copies nodes away from the first execute text as fast as the first, which gains
 * nothing; ktext=off and hot text inside the private caches leave nothing to gain; a patch of every
 * copy takes longer with more nodes, through both funnels; tasks go on in another node's copy;
 * every option runs with all checkers on, and programs end under any interleaving.
 */

import { describe, expect, it } from 'vitest';
import { Metric } from '../../../src/metrics/definition.ts';
import { dbLike } from '../../../workloads/db_like.ts';
import { textFetch } from '../../../workloads/text_fetch.ts';
import { textPatchStorm } from '../../../workloads/text_patch_storm.ts';
import { runVirtually, type VirtualRun } from './virtual-harness.ts';

const SMALL = 'textSize=256K hotText=128K rodataSize=64K';
const FETCH = `${SMALL} passes=8 warmup=2 blocks=120 -c2`;
const STORM = `${SMALL} sites=8 quietBlocks=200`;

/** Passes of a node, from the first measured one on. */
function passNs({ facts }: VirtualRun, node: number): number {
  return facts.latency(Metric.TextRun, node, 1)!.meanNs;
}

/** Later words win over FETCH's own. */
function fetchRun(words: string): VirtualRun {
  const own = FETCH.split(' ').filter((word) => !words.includes(`${word.split('=')[0]}=`));
  return runVirtually(textFetch, `${own.join(' ')} ${words}`);
}

describe('text_fetch', () => {
  const shared = fetchRun('text=shared');

  it.each(['replicated', 'stage2-replicated'])('text=%s: gain by node', (text) => {
    const copies = fetchRun(`text=${text}`);
    expect(passNs(shared, 1)).toBeGreaterThan(1.5 * passNs(shared, 0));
    expect(passNs(copies, 1)).toBeLessThan(1.3 * passNs(copies, 0));
    expect(passNs(copies, 0) / passNs(shared, 0)).toBeGreaterThan(0.98);
    expect(copies.facts.counters['fetch.remote']).toBe(0);
    expect(copies.report).toContain('copies on nodes 0, 1; copies 320K');
  });

  it('gains nothing without copies, or inside the private caches', () => {
    const off = fetchRun('text=replicated ktext=off');
    for (const node of [0, 1]) {
      expect(passNs(off, node) / passNs(shared, node)).toBeCloseTo(1, 1);
    }
    const fits = 'hotText=8K hotShare=100 passes=20 warmup=60';
    const [one, two] = ['shared', 'replicated'].map((text) => fetchRun(`${fits} text=${text}`));
    expect(passNs(one!, 1) / passNs(two!, 1)).toBeLessThan(1.05);
  });

  it('tasks migrate between nodes', () => {
    const moved = fetchRun('text=replicated migrate=on verify=on resume=on passes=6');
    expect(moved.facts.counters['fetch.remote']).toBe(0);
    expect(moved.report).toContain('copies compared in');
    const stage2 = fetchRun('text=stage2-replicated migrate=on kpti=on passes=6');
    expect(stage2.facts.counters['operations']).toBe(16);
  });

  it('entries cost more with kpti, exits of guests more without VHE', () => {
    const call = (run: VirtualRun): number => run.facts.latency(Metric.TextCall, 0, 1)!.meanNs;
    expect(call(fetchRun('text=shared kpti=on'))).toBeGreaterThan(call(shared) + 10);
    const exit = (text: string): VirtualRun => fetchRun(`text=${text} entry=guest-exit`);
    const cost = (run: VirtualRun): number =>
      run.facts.latency(Metric.GuestSwitch, 0, 1)!.meanNs - passNs(run, 0);
    const nvhe = exit('stage2-replicated');
    expect(cost(nvhe)).toBeGreaterThan(cost(exit('shared')) + 1000);
    expect(nvhe.facts.counters['text.hyp.remote']).toBeGreaterThan(0);
    expect(nvhe.report).toContain('EL2 text, which no stage 2 moves');
  });

  it('runs on x86 with one copy, refuses more', () => {
    const rome = (text: string): VirtualRun =>
      runVirtually(textFetch, `${FETCH} text=${text}`, 'epyc_rome_2p');
    expect(rome('shared').facts.counters['operations']).toBe(20);
    expect(() => rome('replicated')).toThrow(/is x86/);
  });
});

describe('text_patch_storm', () => {
  const storm = (words: string, machine?: string): VirtualRun =>
    runVirtually(textPatchStorm, `${STORM} ${words}`, machine);
  const nsOf = ({ facts }: VirtualRun, metric: number): number =>
    facts.latency(metric, null, null)!.meanNs;

  it('patch time grows with copies, and with their protection', () => {
    const one = storm('-c4 text=shared');
    const two = storm('-c2 text=replicated', 'graviton4_2p');
    const four = storm('-c4 text=replicated');
    const protectedCopies = storm('-c4 text=replicated protectCopies=on');
    expect(nsOf(four, Metric.TextPatch)).toBeGreaterThan(1.5 * nsOf(one, Metric.TextPatch));
    expect(nsOf(four, Metric.TextAlternatives)).toBeGreaterThan(nsOf(one, Metric.TextAlternatives));
    expect(nsOf(protectedCopies, Metric.TextPatch)).toBeGreaterThan(nsOf(four, Metric.TextPatch));
    expect(two.facts.counters['text.copiesPatched']).toBe(16 + 2 * 16);
    expect(four.facts.counters['text.copiesPatched']).toBe(3 * (16 + 2 * 16));
  });

  it.each([
    'text=stage2-replicated funnel=ftrace patchNode=1',
    'text=replicated kpti=on patchNode=1',
  ])('%s', (words) => {
    const { facts, report } = storm(`-c2 ${words}`, 'graviton4_2p');
    expect(facts.counters['text.patches']).toBeGreaterThanOrEqual(16);
    expect(report).toContain('tracing on: 8 sites, 2 copies');
  });

  it('tells the calls of others, to which the patcher does not belong', () => {
    const { report } = storm('-c1 text=shared');
    expect(report).toContain('tracing on: 8 sites, 1 copy:');
    expect(report).toMatch(/calls of the others.*\nns .*\nnode 0 +- +- +- +-\n/);
  });

  it('refuses a node without CPUs of the run', () => {
    expect(() => storm('-c2 patchNode=3')).toThrow(/no CPU of the run is on node 3; .* 0, 1/);
  });
});

describe('db_like', () => {
  it.each(['shared', 'replicated kpti=on', 'stage2-replicated'])('text=%s', (text) => {
    const words = `${SMALL} text=${text} -c2 transactions=3 warmup=1 tableSize=8M`;
    const { facts, report } = runVirtually(dbLike, words);
    expect(facts.counters['operations']).toBe(8);
    expect(report).toMatch(/assumed, .* data=interleave/);
    expect(report).toMatch(/all nodes: \d+ transactions per second/);
  });

  it.each(['local', 'first'])('data=%s', (data) => {
    const words = `${SMALL} data=${data} -c2 transactions=2 warmup=1 tableSize=8M`;
    const { facts } = runVirtually(dbLike, words);
    const remote = facts.counters['dram.remote']!;
    expect(remote > 200).toBe(data === 'first');
  });
});
