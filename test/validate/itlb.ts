/**
 * iTLB misses of bench trig-kprobe with module_alloc, prog_pack and the posted execmem_alloc
 * (S. Liu, execmem_alloc v2, 2022-11-07: 350, 220 and 185 k/s in a VM of 32 CPUs, host not named),
 * and a pack of 512 pages against one of a block (bpf_prog_pack followup, 2022-07: no difference
 * beyond 0.3 % with the direct map held equal).
 *
 * Published rates are of everything that ran there, so the text that the bench executes itself is
 * fitted to the first value, in steps of 16 KiB; the other two are predicted with it. Whether the
 * figures are of the VM or of a CPU is not said: both readings are shown. Rates are differences of
 * two runs of different length, so that cold misses are in neither.
 */

import { KIB } from '../../src/base/units.ts';
import { emulate, inParallel, type Result } from './emulate.ts';
import type { Claim, Row } from './row.ts';

const MACHINE = 'xeon_skylake_6140_2p';
const PUBLISHED_CPUS = 32;
const PUBLISHED = [
  { allocator: 'module_alloc', perSecond: 350_000 },
  // v6.1: before packs were mapped by blocks.
  { allocator: 'prog_pack packPages=4K', perSecond: 220_000 },
  { allocator: 'execmem-posted', perSecond: 185_000 },
] as const;
const READINGS = [
  { name: 'vm', cpus: PUBLISHED_CPUS, note: '350 k/s over 32 CPUs' },
  { name: 'cpu', cpus: 1, note: '350 k/s on each CPU' },
] as const;
/** Text of the bench: searched between these. */
const LEAST_KIB = 4096;
const MOST_KIB = 16_384;
const STEP_KIB = 16;
const WARM_UP = 10;
const SHORT = 5;
const LONG = 15;

export interface Steady {
  readonly missesPerSecond: number;
  readonly linesPerSecond: number;
  readonly machineHash: string;
}

/** Between the end of a short run and that of a long one. */
export function difference(short: Result, long: Result): Steady {
  const per = (name: string): number =>
    ((long.counters[name] ?? 0) - (short.counters[name] ?? 0)) / (timeOf(long) - timeOf(short));
  return {
    missesPerSecond: per('iTLB-load-misses') * 1e9,
    linesPerSecond: per('instructions.fetched') * 1e9,
    machineHash: long.machineHash,
  };
}

function timeOf({ phases }: Result): number {
  return phases.reduce((sum, { emulatedNs }) => sum + emulatedNs, 0);
}

async function steady(words: readonly string[]): Promise<Steady> {
  const common = ['bpf_bench', '-m', MACHINE, '-c', '1', `warmup=${WARM_UP}`, 'sampleTime=1ms'];
  const run = (samples: number): Promise<Result> =>
    emulate([...common, `iterations=${samples}`, ...words]);
  return difference(await run(SHORT), await run(LONG));
}

function benchWords(allocator: string, userKib: number): string[] {
  const programs = ['programs=100', 'attached=100', 'userBlocks=200'];
  return [...`allocator=${allocator}`.split(' '), `userText=${userKib}K`, ...programs];
}

/** The least text whose rate reaches `target`; rates grow with the text. */
export async function fittedKib(
  target: number,
  rateOf: (kib: number) => Promise<number>,
): Promise<number> {
  let low = LEAST_KIB / STEP_KIB;
  let high = MOST_KIB / STEP_KIB;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((await rateOf(middle * STEP_KIB)) < target) low = middle + 1;
    else high = middle;
  }
  return low * STEP_KIB;
}

async function readingRows({ name, cpus, note }: (typeof READINGS)[number]): Promise<Row[]> {
  const [first] = PUBLISHED;
  const kib = await fittedKib(first.perSecond / cpus, async (userKib) => {
    const { missesPerSecond } = await steady(benchWords(first.allocator, userKib));
    return missesPerSecond;
  });
  const rows: Row[] = [];
  for (const { allocator, perSecond } of PUBLISHED) {
    const { missesPerSecond, machineHash } = await steady(benchWords(allocator, kib));
    rows.push({
      name: `itlb.${name}.${allocator.split(' ')[0]}`,
      unit: 'k/s',
      published: perSecond / 1000,
      emulated: (missesPerSecond * cpus) / 1000,
      machineHash,
      kind: allocator === first.allocator ? 'fitted' : 'predicted',
      note: `${note}; ${formatMib(kib)} of text beside the programs`,
    });
  }
  return rows;
}

function formatMib(kib: number): string {
  return `${((kib * KIB) / 2 ** 20).toFixed(2)} MiB`;
}

export async function itlbRows(): Promise<Row[]> {
  return (await inParallel(READINGS, readingRows)).flat();
}

/** User work: lines that a CPU executes per second, nearly all of them the bench's own. */
export async function packClaim(): Promise<Claim> {
  const words = ['allocator=prog_pack', 'userText=2M', 'userBlocks=2000'];
  const [small, block] = await inParallel(['4K', '2M'], (pages) =>
    steady([...words, `packPages=${pages}`]),
  );
  const gain = 100 * (block!.linesPerSecond / small!.linesPerSecond - 1);
  return {
    name: 'pack.2MOver4K',
    published: '0 to +0.3 % of user work, direct map equal',
    emulated: `${signed(gain, 2)} %; a weak test: ten programs have a few pages, hot in any TLB`,
    fits: gain > -0.05 && gain < 0.35,
    machineHash: block!.machineHash,
  };
}

export function signed(value: number, digits: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(digits)}`;
}
