/**
 * Latency of moving a cache line from one CPU to another: a compare-and-swap on a line that the
 * other CPU owns, as core-to-core-latency and the c2c tables of the hardware press measure it. The
 * two CPUs of a pair take turns over a flag on another line; only the compare-and-swap is timed, so
 * a figure is one transfer, not a round trip. Pairs run one after the other on a quiet machine.
 */

import { assert } from '../src/base/assert.ts';
import { UserError } from '../src/base/errors.ts';
import { RandomStream } from '../src/base/random.ts';
import { LINE_BYTES, MIB } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Condition, Order } from '../src/cpu/operations.ts';
import type { Machine } from '../src/machine/machine.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, toLinear } from '../src/memory/physical-address.ts';
import { Metric } from '../src/metrics/definition.ts';
import { textTable } from './common/text-table.ts';
import { TIERS, tierOf } from './common/tiers.ts';
import { numberOf, textOf } from './common/values.ts';
import type {
  Image,
  LatencyFacts,
  ReportLine,
  RunFacts,
  Workload,
  WorkloadContext,
} from './workload.ts';

const PHASE_WARM_UP = 0;
const WARM_UP_ROUNDS = 4;
/** A line each for the data, the turn and the start signal of a pair. */
const DATA = 0;
const TURN = LINE_BYTES;
const START = 2 * LINE_BYTES;
const PAIR_BYTES = 4 * LINE_BYTES;
/** pairs=all prints a matrix over CPUs and records every pair apart. */
const ALL_PAIRS_CPUS_MAX = 24;
const CROSS_NODE_TIER = 3;

/** Pairs that are reported together. */
interface Group {
  readonly name: string;
  readonly tier: number;
  readonly pairs: readonly (readonly [number, number])[];
}

interface Pair {
  readonly first: number;
  readonly second: number;
  readonly phase: number;
  readonly lines: Address;
}

interface PairsImage {
  readonly pairs: readonly Pair[];
}

function groupsOf(context: WorkloadContext): Group[] {
  const { machine, placement } = context;
  const cpus = [...placement.cpus].sort((a, b) => a - b);
  const each = textOf(context.parameters, 'pairs') === 'all';
  if (each && cpus.length > ALL_PAIRS_CPUS_MAX) {
    throw new UserError(
      `pairs=all measures every pair of at most ${ALL_PAIRS_CPUS_MAX} CPUs, ` +
        `not of ${cpus.length}; ` +
        'choose some with --cpus, for example --cpus 0-7',
    );
  }
  const groups = new Map<string, { tier: number; pairs: [number, number][] }>();
  for (let i = 0; i < cpus.length; i++) {
    for (let j = i + 1; j < cpus.length; j++) {
      const pair: [number, number] = [cpus[i]!, cpus[j]!];
      const tier = tierOf(machine, ...pair);
      const name = each ? `cpu${pair[0]}-cpu${pair[1]}` : groupName(machine, tier, pair);
      const group = groups.get(name);
      if (group === undefined) groups.set(name, { tier, pairs: [pair] });
      else group.pairs.push(pair);
    }
  }
  const list = [...groups].map(([name, { tier, pairs }]) => ({ name, tier, pairs }));
  return each ? list : list.sort((a, b) => a.tier - b.tier);
}

function groupName(machine: Machine, tier: number, pair: readonly [number, number]): string {
  if (tier < CROSS_NODE_TIER) return TIERS[tier]!.replace(' ', '-');
  const nodes = pair.map((cpu) => machine.nodeOfCpu[cpu]!).sort((a, b) => a - b);
  return `node${nodes[0]}-node${nodes[1]}`;
}

function boot(memory: BootMemory, context: WorkloadContext): Image {
  const wanted = numberOf(context.parameters, 'pairsPerGroup');
  const draw = new RandomStream(context.seed, 'pairs', 0);
  const pairs: Pair[] = [];
  groupsOf(context).forEach((group, index) => {
    const rest = [...group.pairs];
    for (let n = 0; n < wanted && rest.length > 0; n++) {
      const [first, second] = rest.splice(draw.below(rest.length), 1)[0]!;
      const node = context.machine.nodeOfCpu[first]!;
      const lines = toLinear(memory.allocate(node, PAIR_BYTES, PAIR_BYTES));
      pairs.push({ first, second, phase: index + 1, lines });
    }
  });
  assert(pairs.length > 0, 'core_to_core without a pair');
  return { pairs } satisfies PairsImage;
}

/** One CPU's side of a pair: takes the line once per round, handing the turn to the other. */
function* side(cpu: Cpu, pair: Pair, firstRound: number, rounds: number): Program {
  const { hi, lo } = pair.lines;
  const mine = cpu.id === pair.first ? 0 : 1;
  for (let round = firstRound; round < firstRound + rounds; round++) {
    while (!cpu.cond32(hi, lo + TURN, Condition.Equal, -1, mine, Order.Acquire)) yield;
    const expected = 2 * round + mine;
    cpu.begin(Metric.LineTransfer);
    while (!cpu.cas32(hi, lo + DATA, expected, expected + 1, Order.AcquireRelease)) yield;
    cpu.end(Metric.LineTransfer);
    assert(cpu.ok, `lost a turn: found ${cpu.lo}, expected ${expected}`);
    cpu.mark();
    while (!cpu.store32(hi, lo + TURN, 1 - mine, Order.Release)) yield;
  }
}

function* player(cpu: Cpu, image: PairsImage, rounds: number): Program {
  for (let index = 0; index < image.pairs.length; index++) {
    const pair = image.pairs[index]!;
    if (pair.first !== cpu.id && pair.second !== cpu.id) continue;
    const { hi, lo } = pair.lines;
    cpu.phase(PHASE_WARM_UP);
    if (index > 0) {
      while (!cpu.cond32(hi, lo + START, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
    }
    yield side(cpu, pair, 0, WARM_UP_ROUNDS);
    cpu.phase(pair.phase);
    yield side(cpu, pair, WARM_UP_ROUNDS, rounds);
    cpu.phase(PHASE_WARM_UP);
    const next = image.pairs[index + 1];
    if (cpu.id === pair.first && next !== undefined) {
      // The second CPU's last move must not run beside the next pair.
      while (!cpu.cond32(hi, lo + TURN, Condition.Equal, -1, 0, Order.Acquire)) yield;
      while (!cpu.store32(next.lines.hi, next.lines.lo + START, 1, Order.Release)) yield;
    }
  }
}

export const coreToCore: Workload = {
  name: 'core_to_core',
  description: 'compare-and-swap on a line that another CPU owns, by closeness of the two CPUs',
  source: 'core-to-core-latency (ownership transfer by compare-and-swap)',
  parameters: [
    {
      name: 'iterations',
      alias: 'i',
      kind: 'count',
      default: '500',
      minimum: 1,
      maximum: 1_000_000,
      description: 'rounds per pair; each CPU of the pair takes the line once per round',
    },
    {
      name: 'pairs',
      kind: 'choice',
      values: ['tiers', 'all'],
      default: 'tiers',
      description:
        'tiers: some pairs of every closeness and pair of nodes; all: a CPU x CPU matrix',
    },
    {
      name: 'pairsPerGroup',
      kind: 'count',
      default: '4',
      minimum: 1,
      maximum: 1000,
      description: 'pairs measured per closeness and pair of nodes',
    },
  ],
  kernelOptions: [],
  seedMoves: ['which pairs of CPUs stand for their closeness'],
  phases: (context) => [
    { name: 'warm-up', warmUp: true },
    ...groupsOf(context).map(({ name }) => ({ name })),
  ],
  streams: [],
  defaultMachine: 'graviton4_2p',
  defaultCpus: (machine) => machine.cpuCount,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 2,
  backedBytes: () => MIB,
  operations: (context) => {
    const wanted = numberOf(context.parameters, 'pairsPerGroup');
    const pairs = groupsOf(context).map((group) => Math.min(wanted, group.pairs.length));
    const rounds = WARM_UP_ROUNDS + numberOf(context.parameters, 'iterations');
    return 2 * rounds * pairs.reduce((sum, count) => sum + count, 0);
  },
  boot,
  program: (cpu, image, context) => {
    const { pairs } = image as PairsImage;
    const plays = pairs.some((pair) => pair.first === cpu.id || pair.second === cpu.id);
    if (!plays) return null;
    return player(cpu, image as PairsImage, numberOf(context.parameters, 'iterations'));
  },
  report,
};

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const groups = groupsOf(context);
  const lines = ['One transfer of a modified line in ns (compare-and-swap), by closeness'];
  const tiers = TIERS.map((name, tier) => ({ name, facts: ofTier(facts, groups, tier) }));
  const found = tiers.filter((tier) => tier.facts.length > 0);
  lines.push(
    ...textTable(
      '',
      ['mean', 'min', 'max', 'transfers'],
      found.map((tier) => ({ name: tier.name, cells: summary(tier.facts) })),
    ),
  );
  if (textOf(context.parameters, 'pairs') === 'all') lines.push(...cpuMatrix(facts, context));
  else if (context.machine.nodeCount > 1) lines.push(...nodeMatrix(facts, groups, context));
  return lines.map((text) => ({ text }));
}

function ofTier(facts: RunFacts, groups: readonly Group[], tier: number): LatencyFacts[] {
  return groups.flatMap((group, index) => {
    if (group.tier !== tier) return [];
    return facts.latency(Metric.LineTransfer, null, index + 1) ?? [];
  });
}

function summary(parts: readonly LatencyFacts[]): (number | string | null)[] {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  return [
    meanOf(parts),
    Math.min(...parts.map((part) => part.minNs)),
    Math.max(...parts.map((part) => part.maxNs)),
    `${count}`,
  ];
}

function meanOf(parts: readonly LatencyFacts[]): number | null {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  if (count === 0) return null;
  return parts.reduce((sum, part) => sum + part.meanNs * part.count, 0) / count;
}

function nodeMatrix(facts: RunFacts, groups: readonly Group[], context: WorkloadContext): string[] {
  const { machine, placement } = context;
  const nodes = [...new Set(placement.cpus.map((cpu) => machine.nodeOfCpu[cpu]!))].sort(
    (a, b) => a - b,
  );
  const cell = (owner: number, requester: number): number | null => {
    const low = Math.min(owner, requester);
    const high = Math.max(owner, requester);
    const parts = groups.flatMap((group, index) => {
      const wanted =
        low === high ? group.tier < CROSS_NODE_TIER : group.name === `node${low}-node${high}`;
      return wanted ? (facts.latency(Metric.LineTransfer, requester, index + 1) ?? []) : [];
    });
    return meanOf(parts);
  };
  const rows = nodes.map((owner) => ({
    name: `node${owner}`,
    cells: nodes.map((requester) => cell(owner, requester)),
  }));
  return [
    'from (row) to (column), ns',
    ...textTable(
      '',
      nodes.map((node) => `node${node}`),
      rows,
    ),
  ];
}

function cpuMatrix(facts: RunFacts, context: WorkloadContext): string[] {
  const cpus = [...context.placement.cpus].sort((a, b) => a - b);
  const groups = groupsOf(context);
  const index = new Map(groups.map((group, i) => [group.name, i + 1]));
  const rows = cpus.map((row) => ({
    name: `cpu${row}`,
    cells: cpus.map((column) => {
      const phase = index.get(`cpu${Math.min(row, column)}-cpu${Math.max(row, column)}`);
      if (phase === undefined) return null;
      return facts.latency(Metric.LineTransfer, null, phase)?.meanNs ?? null;
    }),
  }));
  return [
    'CPU x CPU, ns',
    ...textTable(
      '',
      cpus.map((cpu) => `cpu${cpu}`),
      rows,
    ),
  ];
}
