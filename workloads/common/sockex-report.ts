/**
 * DirectMap lines of sockex_directmap with the published ones beside them (A. Lu, reply to
 * execmem_alloc v2, lore, 2022-11-07: an 8 GB VM, v5.17 and v6.1-rc3).
 */

import type { ReportLine, RunFacts } from '../workload.ts';
import { textTable } from './text-table.ts';

/** Leaves. */
export interface DirectMapLine {
  readonly small: number;
  readonly middle: number;
  readonly large: number;
}

/** kB of 4K, 2M and 1G by instances: v5.17, module_alloc. */
const PUBLISHED: Readonly<Record<number, readonly number[]>> = {
  0: [87900, 5154816, 5242880],
  512: [462684, 4780032, 5242880],
  1024: [884572, 6455296, 3145728],
  2048: [1654620, 6733824, 2097152],
};
/** v6.1-rc3, prog_pack: the same with any number of instances. */
const PUBLISHED_PACK: readonly number[] = [22364, 3123200, 7340032];

export function sockexReport(
  lines: readonly (DirectMapLine & { readonly instances: number })[],
  ownPages: boolean,
  { counters }: RunFacts,
): readonly ReportLine[] {
  const rows = lines.map(({ instances, small, middle, large }) => {
    const published = ownPages ? PUBLISHED[instances] : PUBLISHED_PACK;
    const sizes = [small * 4, middle * 2048, large * 1048576];
    return {
      name: instances === 0 ? 'boot' : String(instances),
      cells: [...sizes, ...[0, 1, 2].map((index) => published?.[index] ?? null)].map((kilobytes) =>
        kilobytes === null ? null : String(kilobytes),
      ),
    };
  });
  const names = ['DirectMap4k', 'DirectMap2M', 'DirectMap1G'];
  const version = ownPages ? 'v5.17' : 'v6.1-rc3';
  const columns = [...names, ...names.map((name) => `${name.slice(9)} ${version}`)];
  const first = lines[0]!;
  const last = lines.at(-1)!;
  const splits = counters['directMap.splits'] ?? 0;
  return [
    ...textTable('instances', columns, rows),
    `kB; ${splits} leaves split, ${((last.small - first.small) * 4) / 1024} MiB more in 4K pages`,
  ].map((text) => ({ text }));
}
