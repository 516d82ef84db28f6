/**
 * Executable memory beside published figures: the direct map while sockex1 is loaded (A. Lu, reply
 * to execmem_alloc v2, 2022-11-07: a VM of 8 GB), pages of BPF text that would fit in fewer (the
 * cover letter of it, S. Liu), and what read-only text costs ftrace at boot (S. Rostedt on execmem
 * ROX v7, 2024-10).
 *
 * The aged memory of the ladder (workloads/common/aged-memory.ts) was described with its lines, so
 * all of them count as fitted.
 */

import { textBytes } from '../../src/kernel/bpf/jit.ts';
import { programBytes } from '../../src/kernel/bpf/program-size.ts';
import { emulate, type Result } from './emulate.ts';
import { ownModule } from './own-module.ts';
import type { Claim, Row } from './row.ts';

const PAGE_BYTES = 4096;
const LEVELS = ['4K', '2M', '1G'] as const;
/** kB in leaves of 4K, 2M and 1G. */
const LADDER: readonly (readonly [number, readonly number[]])[] = [
  [0, [87_900, 5_154_816, 5_242_880]],
  [512, [462_684, 4_780_032, 5_242_880]],
  [1024, [884_572, 6_455_296, 3_145_728]],
  [2048, [1_654_620, 6_733_824, 2_097_152]],
];

/** The three numbers after the instances in the workload's own table; null: no such line. */
export function ladderLine({ report }: Result, instances: number): readonly number[] | null {
  const name = instances === 0 ? 'boot' : String(instances);
  const line = report.find((text) => text.trimStart().split(/\s+/)[0] === name);
  if (line === undefined) return null;
  return line.trim().split(/\s+/).slice(1, 4).map(Number);
}

export async function ladderRows(): Promise<Row[]> {
  const result = await emulate(['sockex_directmap', 'allocator=module_alloc']);
  return LADDER.flatMap(([instances, published]) => {
    const line = ladderLine(result, instances)!;
    return LEVELS.map((level, index) => ({
      name: `directMap.${instances}.${level}`,
      unit: 'kB',
      published: published[index]!,
      emulated: line[index]!,
      machineHash: result.machineHash,
      kind: 'fitted' as const,
      note: instances === 0 ? 'at boot' : `${instances} instances of sockex1, v5.17`,
    }));
  });
}

/** v6.1-rc3: packs, "no change at all". */
export async function ladderClaim(): Promise<Claim> {
  const result = await emulate(['sockex_directmap', 'allocator=prog_pack', 'steps=512']);
  const [before] = ladderLine(result, 0)!;
  const [after] = ladderLine(result, 512)!;
  return {
    name: 'directMap.pack',
    published: 'v6.1: no leaf split by any number of instances',
    emulated: `512 instances: ${after! - before!} kB more in 4K pages`,
    fits: after === before,
    machineHash: result.machineHash,
  };
}

export interface Packing {
  readonly programs: number;
  readonly packedKb: number;
}

/** So many programs of the published sizes take `pages` pages of their own; packed they take. */
export function packing(pages: number): Packing {
  let pageSum = 0;
  let byteSum = 0;
  for (let quantile = 0; quantile < 65_536; quantile++) {
    const bytes = textBytes(programBytes(quantile * 65_536));
    pageSum += Math.ceil(bytes / PAGE_BYTES);
    byteSum += bytes;
  }
  const programs = (pages * 65_536) / pageSum;
  return { programs: Math.round(programs), packedKb: (programs * byteSum) / 65_536 / 1024 };
}

export function packingRow(): Row {
  const { programs, packedKb } = packing(140);
  return {
    name: 'bpf.140Pages',
    unit: 'kB',
    published: 200,
    emulated: packedKb,
    machineHash: '',
    kind: 'predicted',
    note: `arithmetic: ${programs} programs of the published sizes, in chunks of 64 bytes`,
  };
}

/** Boot update of 57,695 sites in 14,733,459 ns, of 57,708 in 47,195,374 ns. */
const FTRACE = [
  { name: 'direct', nsPerSite: 14_733_459 / 57_695 },
  { name: 'poke', nsPerSite: 47_195_374 / 57_708 },
] as const;
const SITES = 2000;

export async function ftraceRows(): Promise<Row[]> {
  const result = await emulate([ownModule('ftrace-update'), `sites=${SITES}`]);
  const nsOf = (phase: string): number =>
    result.phases.find(({ name }) => name === phase)!.emulatedNs / SITES;
  const { machineHash } = result;
  const note = `${SITES} sites, the published kernels have 57,700`;
  const sites = FTRACE.map(({ name, nsPerSite }) => ({
    name: `ftrace.${name}`,
    unit: 'ns per site',
    published: nsPerSite,
    emulated: nsOf(name),
    machineHash,
    kind: 'predicted' as const,
    note,
  }));
  return [
    ...sites,
    {
      name: 'ftrace.factor',
      unit: 'x',
      published: FTRACE[1].nsPerSite / FTRACE[0].nsPerSite,
      emulated: nsOf('poke') / nsOf('direct'),
      machineHash,
      kind: 'predicted',
      note: 'read-only text over writable text',
    },
  ];
}
