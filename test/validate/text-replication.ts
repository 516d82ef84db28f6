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
/** KiB of hot text, in an L2 of 2 MiB either way, executed long enough to be there. */
const PRIVATE_KIB: readonly number[] = [256, 512];
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

export interface Pair {
  readonly shared: Result;
  readonly replicated: Result;
}

/** `inL2`: by KiB of hot text. */
export function replicationClaims(large: Pair, inL2: ReadonlyMap<number, Pair>): Claim[] {
  const { shared, replicated } = large;
  const gain = (node: number | null): number => gainOf(shared, replicated, node);
  const { machineHash } = replicated;
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
    ...[...inL2].map(([kib, pair]) => {
      const gained = gainOf(pair.shared, pair.replicated, null);
      return {
        name: `ktext.privateL2.${kib}K`,
        published: 'nothing where hot text fits the private L2',
        emulated: `${percent(gained)} with ${kib} KiB of hot text`,
        fits: Math.abs(gained) <= NOTHING,
        machineHash,
      };
    }),
  ];
}

function privateWords(kib: number): string[] {
  return [`textSize=${2 * kib}K`, `hotText=${kib}K`, 'hotShare=100', 'warmup=60'];
}

export async function textReplication(): Promise<Claim[]> {
  const runs = [[], ...PRIVATE_KIB.map(privateWords)].flatMap((words) =>
    ['shared', 'replicated'].map((text) => [`text=${text}`, ...words]),
  );
  const results = await inParallel(runs, (words) => emulate(['db_like', '-m', MACHINE, ...words]));
  const pair = (index: number): Pair => ({
    shared: results[2 * index]!,
    replicated: results[2 * index + 1]!,
  });
  const inL2 = new Map(PRIVATE_KIB.map((kib, index) => [kib, pair(index + 1)]));
  return replicationClaims(pair(0), inL2);
}
