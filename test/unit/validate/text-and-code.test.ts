/**
 * Arithmetic and tables of the validation of text and code, and of the what-if table: on results
 * made up here, not on runs.
 */

import { describe, expect, it } from 'vitest';
import type { Histogram, Result } from '../../validate/emulate.ts';
import { ladderLine, packing } from '../../validate/executable-memory.ts';
import { difference, fittedKib } from '../../validate/itlb.ts';
import { misfits } from '../../validate/misfits.ts';
import { sectionText, tableText } from '../../validate/table.ts';
import { gainOf, replicationClaims } from '../../validate/text-replication.ts';
import { perFurtherLoad } from '../../what-if/findings.ts';
import { type Point, pointsOf, profileText, SECTIONS, wordsOf } from '../../what-if/points.ts';
import { coverageOf, rowOf, tableOf } from '../../what-if/rows.ts';

const NO_RESULT: Result = {
  ...{ machineHash: 'f'.repeat(64), phases: [], counters: {}, histograms: {} },
  ...{ whatIf: [], report: [] },
};

function histogram(mean: number, count = 100): Histogram {
  return { count, mean, p50: mean, p99: 2 * mean, p999: null };
}

function phase(name: string, emulatedNs: number): Result['phases'][number] {
  return { name, emulatedNs, nsPerOperation: null };
}

describe('validation of text and code', () => {
  it('packs programs of the published sizes into less than half of their pages', () => {
    const { programs, packedKb } = packing(140);
    expect(programs).toBeGreaterThan(70);
    expect(programs).toBeLessThanOrEqual(140);
    expect(packedKb).toBeLessThan(280);
    expect(packing(280).packedKb).toBeCloseTo(2 * packedKb, 6);
  });

  it('takes rates between the ends of two runs', () => {
    const counters = (misses: number) => ({
      'iTLB-load-misses': misses,
      'instructions.fetched': 10 * misses,
    });
    const short = { ...NO_RESULT, phases: [phase('a', 1000)], counters: counters(500) };
    const long = { ...NO_RESULT, phases: [phase('a', 3000)], counters: counters(502) };
    const { missesPerSecond, linesPerSecond } = difference(short, long);
    expect(missesPerSecond).toBeCloseTo(1e6, 3);
    expect(linesPerSecond).toBeCloseTo(1e7, 3);
  });

  it('fits the least text that reaches a rate', async () => {
    const rate = async (kib: number): Promise<number> => Math.max(0, kib - 6000);
    expect(await fittedKib(100, rate)).toBe(6112);
    expect(await fittedKib(145, rate)).toBe(6160);
  });

  it('reads the ladder from the lines of the workload', () => {
    const report = ['instances  DirectMap4k', 'boot   1  2  3  4', '512    10  20  30', 'kB; 512'];
    const result = { ...NO_RESULT, report };
    expect(ladderLine(result, 0)).toEqual([1, 2, 3]);
    expect(ladderLine(result, 512)).toEqual([10, 20, 30]);
    expect(ladderLine(result, 1024)).toBeNull();
  });

  it('tells gains by node, and claims that do not hold', () => {
    const result = (node0: number, node1: number): Result => ({
      ...NO_RESULT,
      histograms: {
        'db.transaction@node0': histogram(node0),
        'db.transaction@node1': histogram(node1),
      },
    });
    expect(gainOf(result(100, 125), result(100, 100), 1)).toBeCloseTo(25, 9);
    const good = { shared: result(100, 125), replicated: result(100, 100) };
    const none = { shared: result(100, 100), replicated: result(100, 100) };
    const holds = replicationClaims(good, new Map([[256, none]]));
    expect(holds.every(({ fits }) => fits)).toBe(true);
    const broken = replicationClaims(none, new Map([[512, good]])).filter(({ fits }) => !fits);
    expect(broken.map(({ name }) => name)).toEqual([
      'ktext.gain',
      'ktext.node1',
      'ktext.privateL2.512K',
    ]);
  });

  it('prints misfits of fits and predictions with reasons', () => {
    const row = { unit: 'k/s', published: 100, machineHash: '', note: '' };
    const rows = [
      { ...row, name: 'itlb.vm.prog_pack', emulated: 10, kind: 'predicted' as const },
      { ...row, name: 'itlb.vm.module_alloc', emulated: 90, kind: 'fitted' as const },
      { ...row, name: 'elsewhere', emulated: 130, kind: 'fitted' as const },
    ];
    const found = misfits(rows);
    expect(found.map((each) => each.row.name)).toEqual(['itlb.vm.prog_pack', 'elsewhere']);
    expect(found[0]!.reason).not.toBe('unexplained');
    expect(found[1]!.reason).toBe('unexplained');
  });

  it('aligns text and writes Markdown', () => {
    const table = { title: 'T', lines: ['l'], header: ['a', 'bb'], rows: [['ccc', 'd']] };
    expect(tableText(table)).toBe('T\nl\n\na    bb\nccc  d');
    expect(sectionText(table)).toBe('## T\n\nl\n\n| a | bb |\n| --- | --- |\n| ccc | d |');
  });
});

describe('the what-if table', () => {
  const faults = SECTIONS.find(({ bystander }) => bystander === 'faults')!;
  const points = pointsOf(faults);
  const loaded = points.find(({ design }) => design !== null) as Point;
  const quiet: Result = { ...NO_RESULT, counters: { 'dvm.received': 100 } };
  const guests = ['populate', 'enable', 'dirty-1', 'get-1', 'clear-1'];
  const storm = (startNs: number, stormNs: number): Result => ({
    ...NO_RESULT,
    whatIf: ['loaders.allocator=typed'],
    phases: [
      ...guests.map((name) => phase(`guests:${name}`, 100)),
      phase('guests:dirty-2', 1000),
      phase('loaders:warm-up', startNs),
      phase('loaders:storm', stormNs),
    ],
    counters: { 'bpf.loads': 30, 'dvm.received': 400, 'ipi.sent': 60, flush_tlb_kernel_range: 90 },
    histograms: {
      'bpf.load#loaders:storm': histogram(5, 30),
      'fault.stall#guests:dirty-2': histogram(1500),
    },
  });

  it('has a quiet point and every design at every rate', () => {
    for (const section of SECTIONS) {
      const names = pointsOf(section).map(({ design }) => design?.name ?? null);
      expect(names[0]).toBeNull();
      expect(new Set(names.slice(1)).size).toBe(section.designs.length);
    }
  });

  it('runs a profile for faults and a workload for text', () => {
    expect(wordsOf(loaded, 'p.yaml')[0]).toBe('p.yaml');
    expect(profileText(loaded)).toContain('allocator: module_alloc');
    expect(profileText(points[0]!)).not.toContain('loaders');
    const text = pointsOf(SECTIONS.find(({ bystander }) => bystander === 'text')!)[1]!;
    expect(wordsOf(text, '')).toContain('allocator=module_alloc');
  });

  it('says how much of the measured time the storm covers', () => {
    expect(coverageOf(storm(0, 2000))).toBe(1);
    expect(coverageOf(storm(1000, 2000))).toBe(0.5);
    expect(coverageOf(storm(0, 400))).toBe(0);
  });

  it('counts per load, less what happens without loads', () => {
    const row = rowOf({ point: loaded, result: storm(0, 2000) }, quiet);
    expect(row).toMatchObject({ flushes: 3, ipis: 2, dvm: 10, p99Ns: 3000, p999Ns: null });
    expect(row.loadsPerSecond).toBeCloseTo(5e6, 3);
  });

  it('leaves the first pack out of what a further load costs', () => {
    const few = { ...NO_RESULT, counters: { 'bpf.loads': 10, 'ipi.sent': 1020 } };
    const more = { ...NO_RESULT, counters: { 'bpf.loads': 30, 'ipi.sent': 1060 } };
    expect(perFurtherLoad(few, more, 'ipi.sent')).toBe(2);
    expect(perFurtherLoad(more, few, 'ipi.sent')).toBeNull();
  });

  it('labels what no kernel has, and storms that are too short', () => {
    const measured = [
      { point: points[0]!, result: quiet },
      { point: loaded, result: storm(1000, 2000) },
    ];
    const [first, second] = tableOf(faults, measured).rows;
    expect(first!.slice(0, 3)).toEqual(['none', '', '0']);
    expect(second!.slice(0, 3)).toEqual(['module_alloc', 'what-if', '5000000 (50 % of the time)']);
  });
});
