/**
 * Kernel text replication (R. King, RFC 00/17, 2023-05-30: +6 to +17 % on "database-centric like
 * workloads"; neither these nor the machine are named, so db_like assumes shares and placement).
 * Claimed are the sign and the shape by node; the range is shown beside the emulated gain. A hot
 * text that fits the private L2 gains nothing: of the replies to the series, machines that "never
 * saw benefit".
 */

import { emulate, inParallel, type Result } from './emulate.ts';
import { signed } from './itlb.ts';
import type { Claim } from './row.ts';

const MACHINE = 'graviton4_2p';
/** In an L2 of 2 MiB beside the rows that pass through it, executed long enough to be there. */
const PRIVATE = ['textSize=512K', 'hotText=256K', 'hotShare=100', 'warmup=60'];
const LEAST = 6;
const MOST = 17;
/** Per cent that count as nothing. */
const NOTHING = 1;

/** Per cent more transactions of node `node` (null: all) in the same time. */
export function gainOf(shared: Result, replicated: Result, node: number | null): number {
  const nodes = node === null ? [0, 1] : [node];
  const rate = ({ histograms }: Result): number =>
    nodes.reduce((sum, at) => sum + 1 / histograms[`db.transaction@node${at}`]!.mean, 0);
  return 100 * (rate(replicated) / rate(shared) - 1);
}

export function replicationClaims(
  [shared, replicated]: readonly Result[],
  [sharedL2, replicatedL2]: readonly Result[],
): Claim[] {
  const gain = (node: number | null): number => gainOf(shared!, replicated!, node);
  const gainL2 = gainOf(sharedL2!, replicatedL2!, null);
  const { machineHash } = replicated!;
  const percent = (value: number): string => `${signed(value, 1)} %`;
  return [
    {
      name: 'ktext.gain',
      published: `+${LEAST} to +${MOST} %, workload and machine not named`,
      emulated: `${percent(gain(null))} with 4 MiB of hot text, placement assumed`,
      fits: gain(null) >= LEAST && gain(null) <= MOST,
      machineHash,
    },
    {
      name: 'ktext.node0',
      published: 'nothing: the first copy is where text was',
      emulated: percent(gain(0)),
      fits: Math.abs(gain(0)) <= NOTHING,
      machineHash,
    },
    {
      name: 'ktext.node1',
      published: 'all of the gain',
      emulated: percent(gain(1)),
      fits: gain(1) > LEAST,
      machineHash,
    },
    {
      name: 'ktext.privateL2',
      published: 'nothing where hot text fits the private L2',
      emulated: `${percent(gainL2)} with 256 KiB of hot text`,
      fits: Math.abs(gainL2) <= NOTHING,
      machineHash,
    },
  ];
}

export async function textReplication(): Promise<Claim[]> {
  const runs = [[], PRIVATE].flatMap((words) =>
    ['shared', 'replicated'].map((text) => [`text=${text}`, ...words]),
  );
  const results = await inParallel(runs, (words) => emulate(['db_like', '-m', MACHINE, ...words]));
  return replicationClaims(results.slice(0, 2), results.slice(2));
}
