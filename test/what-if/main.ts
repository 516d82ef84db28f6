/**
 * `npm run what-if [-- --json]`: loads of BPF programs per second against what bystanders feel, for
 * five allocators on arm64 and x86, most of which no kernel has on one or the other. Writes
 * test/reports/what-if-bpf.md.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/base/package-root.ts';
import { emulate, inParallel } from '../validate/emulate.ts';
import { sectionText, tableText } from '../validate/table.ts';
import { findings } from './findings.ts';
import { type Point, pointsOf, profileText, SECTIONS, wordsOf } from './points.ts';
import { type Measured, rowOf, tableOf } from './rows.ts';

const HEAD = [
  '# What if: loads of BPF programs beside others',
  '',
  'Written by `npm run what-if`; seeds 1 to 3. What do loads cost CPUs that load nothing? Four',
  'CPUs load programs of the published sizes, every 200 us and every 10 us each, run and unload',
  'them. "what-if": no kernel has that allocator on that machine (the label of `numalab run`).',
  'Flushes (flush_tlb_kernel_range), IPIs and DVM operations received are counts of the whole run,',
  'the first pack included, less those of the run without loads, per program loaded.',
  'The row none has guests alone; where bystanders execute text it has one load per loader, as',
  'the storm ends with its loads. Guests of typed have twice the memory: they must outlast its',
  'first areas, which take 9 ms. Rates that are reached differ, so rows of 10 us compare designs',
  'under pressure, not at one rate.',
].join('\n');

async function measure(folder: string, point: Point, index: number): Promise<Measured> {
  const profile = join(folder, `${index}.yaml`);
  if (point.section.bystander === 'faults') writeFileSync(profile, profileText(point));
  const result = await emulate(wordsOf(point, profile));
  const what = point.design === null ? 'no loads' : `${point.design.name} ${point.intervalUs}us`;
  process.stderr.write(`what-if: ${point.section.title}: ${what}\n`);
  return { point, result };
}

async function main(argv: readonly string[]): Promise<number> {
  const unknown = argv.find((word) => word !== '--json');
  if (unknown !== undefined) {
    process.stderr.write(`what-if: '${unknown}' is unknown\nusage: npm run what-if -- [--json]\n`);
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'numalab-what-if-'));
  try {
    const points = SECTIONS.flatMap(pointsOf);
    const all = [...points.entries()];
    const measured = await inParallel(all, ([index, point]) => measure(folder, point, index));
    const sections = SECTIONS.map((section) => ({
      section,
      measured: measured.filter(({ point }) => point.section === section),
    }));
    const tables = sections.map((part) => tableOf(part.section, part.measured));
    const page = [HEAD, ...tables.map(sectionText), findings(sections)].join('\n\n');
    writeFileSync(new URL('test/reports/what-if-bpf.md', packageRoot()), `${page}\n`);
    const text = argv.includes('--json') ? asJson(sections) : tables.map(tableText).join('\n\n');
    process.stdout.write(`${text}\n`);
    return 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function asJson(sections: readonly { readonly measured: readonly Measured[] }[]): string {
  const rows = sections.flatMap(({ measured }) => {
    const quiet = measured[0]!.result;
    return measured.map((each) => {
      const { section, design, intervalUs } = each.point;
      const { whatIf, machineHash } = each.result;
      const { machine, bystander } = section;
      const what = { machine, bystander, allocator: design?.name ?? null, intervalUs };
      return { ...what, whatIf, machineHash, ...rowOf(each, quiet) };
    });
  });
  return JSON.stringify(rows, null, 2);
}

process.exitCode = await main(process.argv.slice(2));
