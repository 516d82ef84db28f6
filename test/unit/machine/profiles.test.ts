/**
 * Promises: every bundled machine loads; every number has a source and a confidence; published
 * single figures come out of the resolved machine to the picosecond; X is a metric; G fits.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bundledProfile } from '../../../src/machine/bundled.ts';
import { estimatesOf, loadMachine, machineNames } from '../../../src/machine/catalog.ts';
import { COST_ESTIMATES } from '../../../src/machine/cost-estimates.ts';
import { COST_COUNT, COST_NAMES, Cost } from '../../../src/machine/costs.ts';
import type { Machine } from '../../../src/machine/machine.ts';
import { profileSchema } from '../../../src/machine/schema.ts';

const NAMES = machineNames();

/** Figure of the profile in ns, or undefined. */
function figure(name: string, parameter: string): number | undefined {
  return bundledProfile(name).values.get(parameter)?.value as number | undefined;
}

function memoryNs(machine: Machine, from: number, to: number): number {
  const at = from * machine.nodeCount + to;
  const twoWays = 2 * machine.hopPs[at]!;
  return (machine.dramPsOfNode[to]! + twoWays + machine.memoryExtraPs[at]!) / 1000;
}

function transferNs(machine: Machine, from: number, to: number): number {
  const at = from * machine.nodeCount + to;
  return (machine.transferNodePs + 2 * machine.hopPs[at]! + machine.transferExtraPs[at]!) / 1000;
}

function forPairs(machine: Machine, visit: (from: number, to: number) => void): void {
  for (let from = 0; from < machine.nodeCount; from++) {
    for (let to = 0; to < machine.nodeCount; to++) if (from !== to) visit(from, to);
  }
}

it('has the sixteen server machines and the host of the KVM figures', () => {
  expect(NAMES).toHaveLength(17);
  expect(NAMES).toContain('ampere_altra_1p_q80');
});

describe.each(NAMES)('%s', (name) => {
  const machine = loadMachine(name);
  const { nodeCount, hopPs } = machine;

  it('fits the schema and gives every value in full', () => {
    const text = readFileSync(`src/machine/profiles/${name}.json`, 'utf8');
    const raw = JSON.parse(text) as Record<string, unknown>;
    expect(profileSchema().safeParse(raw).error).toBeUndefined();
    for (const [parameter, value] of bundledProfile(name).values) {
      expect(value.source.length, parameter).toBeGreaterThan(2);
      expect(value.source, parameter).not.toBe('user file');
    }
    expect(text).not.toMatch(/find_string|unverified/);
  });

  it('has whole picoseconds everywhere', () => {
    const times = [hopPs, machine.memoryExtraPs, machine.transferExtraPs, machine.costsPs];
    for (const ps of times.flatMap((each) => [...each])) expect(Number.isInteger(ps)).toBe(true);
    for (const ps of machine.dramPsOfNode) expect(Number.isInteger(ps) && ps > 0).toBe(true);
  });

  it('numbers CPUs node by node', () => {
    const nodes = [...machine.nodeOfCpu];
    expect(nodes).toEqual([...nodes].sort((a, b) => a - b));
    expect(machine.cpuCount).toBe(nodes.length);
    expect(new Set(nodes).size).toBe(nodeCount);
    machine.clusterOfCpu.forEach((cluster, cpu) => {
      const first = machine.clusterOfCpu.indexOf(cluster);
      expect(machine.dieOfCpu[cpu]).toBe(machine.dieOfCpu[first]);
      expect(machine.nodeOfCpu[cpu]).toBe(machine.nodeOfCpu[first]);
    });
  });

  it('keeps X symmetrical and within the triangle inequality', () => {
    for (let a = 0; a < nodeCount; a++) {
      expect(hopPs[a * nodeCount + a]).toBe(0);
      for (let b = 0; b < nodeCount; b++) {
        expect(hopPs[a * nodeCount + b]).toBe(hopPs[b * nodeCount + a]);
        for (let via = 0; via < nodeCount; via++) {
          const detour = hopPs[a * nodeCount + via]! + hopPs[via * nodeCount + b]!;
          expect(hopPs[a * nodeCount + b]).toBeLessThanOrEqual(detour);
        }
      }
    }
  });

  it('fits the grid into L and every hop', () => {
    expect(machine.gridPs).toBeLessThanOrEqual(machine.lookaheadPs);
    expect(machine.gridPs).toBeLessThanOrEqual(machine.leastHopPs);
    expect(machine.lookaheadPs).toBeLessThanOrEqual(machine.llc.latencyPs);
    expect(machine.lookaheadPs).toBeLessThanOrEqual(machine.transferClusterPs);
    expect(machine.lookaheadPs).toBeLessThanOrEqual(machine.upgradePs);
    expect(machine.lookaheadPs).toBeLessThanOrEqual(machine.dvmAckPs);
    expect(machine.lookaheadPs).toBeLessThanOrEqual(machine.ipiPs);
    if (nodeCount === 1) expect(machine.gridPs).toBe(machine.lookaheadPs);
    let meeting = Number.POSITIVE_INFINITY;
    forPairs(machine, (a, b) => {
      const hop = hopPs[a * nodeCount + b]!;
      const apart = machine.socketOfNode[a] !== machine.socketOfNode[b];
      if (apart && hop >= machine.lookaheadPs) meeting = Math.min(meeting, hop);
    });
    if (meeting === Number.POSITIVE_INFINITY) return;
    const windows = Math.floor(meeting / machine.gridPs);
    // As few windows as L and the hops allow, and less than a picosecond each lost to rounding.
    expect(meeting - windows * machine.gridPs).toBeLessThan(windows);
    const step = Math.min(machine.lookaheadPs, machine.leastHopPs);
    expect(windows).toBe(Math.ceil(meeting / step));
  });

  it('gives every figure back', () => {
    const matrix = bundledProfile(name).values.get('latency.dramMatrix')?.value;
    const rows = (matrix ?? []) as readonly (readonly number[])[];
    const local = figure(name, 'latency.dramLocal');
    for (let node = 0; node < nodeCount; node++) {
      expect(memoryNs(machine, node, node)).toBe(rows[node]?.[node] ?? local);
    }
    forPairs(machine, (from, to) => {
      const same = machine.socketOfNode[from] === machine.socketOfNode[to];
      const memory = figure(name, `latency.${same ? 'dramCrossDie' : 'dramRemote'}`);
      const transfer = figure(name, `latency.${same ? 'transferCrossDie' : 'transferCrossSocket'}`);
      expect(memoryNs(machine, from, to)).toBe(rows[from]?.[to] ?? memory);
      expect(transferNs(machine, from, to)).toBe(transfer);
    });
    expect(machine.transferNodePs / 1000).toBe(figure(name, 'latency.transferNode'));
  });

  it('knows where every parameter and cost comes from', () => {
    expect(machine.costsPs).toHaveLength(COST_COUNT);
    for (const cost of COST_NAMES) expect(machine.provenance).toHaveProperty([`costs.${cost}`]);
    const known = ['published', 'derived', 'estimate'];
    for (const { confidence } of Object.values(machine.provenance)) {
      expect(known).toContain(confidence);
    }
    const estimates = estimatesOf(machine);
    expect(estimates).toContain('coherence.wake');
    expect(estimates).not.toContain('latency.dramMatrix');
  });

  it('lists no figures of tiers that the machine lacks', () => {
    const names = Object.keys(machine.provenance);
    const sockets = new Set(machine.socketOfNode).size;
    if (sockets === 1) expect(names.join()).not.toMatch(/Remote|CrossSocket|\.remote/);
    if (sockets === nodeCount) expect(names.join()).not.toMatch(/CrossDie|crossDie/);
  });

  it('can be sent to a worker thread as it is', () => {
    expect(structuredClone(machine)).toEqual(machine);
  });

  it('has memory that fits the address map', () => {
    for (const bytes of machine.memoryBytesOfNode) {
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(2 ** 38);
    }
  });
});

it('has one name and one figure per cost', () => {
  expect(COST_NAMES).toHaveLength(COST_COUNT);
  expect(Object.keys(Cost)).toHaveLength(COST_COUNT);
  for (const name of COST_NAMES) expect(COST_ESTIMATES, name).toHaveProperty([name]);
});

describe('figures that other parts rely on', () => {
  it('Graviton4: X from transfers, L from the last level', () => {
    const machine = loadMachine('graviton4_2p');
    expect([...machine.hopPs]).toEqual([0, 46_800, 46_800, 0]);
    expect(machine.lookaheadPs).toBe(25_000);
    expect(machine.gridPs).toBe(23_400);
    expect([...machine.dramPsOfNode]).toEqual([114_080, 114_080]);
    expect(machine.cpuCount).toBe(192);
  });

  it('Altra: pairs of cores, no FWB, half a hypercall each way', () => {
    const machine = loadMachine('ampere_altra_1p_q80');
    expect(machine.cpuCount).toBe(80);
    expect(machine.nodeCount).toBe(1);
    expect([...machine.clusterOfCpu.subarray(0, 4)]).toEqual([0, 0, 1, 1]);
    expect(machine.features).toMatchObject({ core: 'neoverse-n1', fwb: false, tlbirange: false });
    expect(machine.costsPs[Cost.GuestExit]! + machine.costsPs[Cost.GuestEntry]!).toBe(292_000);
    expect(machine.hopPs).toEqual(Float64Array.of(0));
  });

  it('Kunpeng 920: four dies, memory on each, cross-die transfers', () => {
    const machine = loadMachine('kunpeng920_2p_128');
    expect([...machine.socketOfNode]).toEqual([0, 0, 1, 1]);
    expect(transferNs(machine, 0, 1)).toBe(80.5);
    expect(machine.transferNodePs).toBe(35_700);
    expect(machine.memoryBytesOfNode[0]).toBeGreaterThan(0);
    expect(machine.costsPs[Cost.ZeroLine]).toBe(Math.round((4.02 * 1000) / 2.6));
  });

  it('Genoa: nodes too close for two workers', () => {
    expect(loadMachine('epyc_genoa_2p').leastHopPs).toBeLessThan(10_000);
  });

  it('DVM: four operations make the published break, flush and make', () => {
    const machine = loadMachine('graviton4_2p');
    expect(4 * machine.dvmServicePs).toBeGreaterThanOrEqual(1_160_000);
    expect(4 * machine.dvmServicePs).toBeLessThanOrEqual(1_230_000);
  });
});
