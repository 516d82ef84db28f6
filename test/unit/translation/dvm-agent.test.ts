/**
 * DVM agents driven by hand: service one at a time, forwarding, effects on boundaries, and a Sync
 * whose acknowledgement never counts before the operations in front of it have taken effect.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Tlbi } from '../../../src/cpu/operations.ts';
import type { Machine } from '../../../src/machine/machine.ts';
import { DVM_SYNC, DvmAgent, type DvmPort } from '../../../src/translation/dvm-agent.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

const ns = (x: number): number => x * 1000;

interface Effect {
  readonly node: number;
  readonly at: number;
  readonly issuer: number;
  readonly operation: number;
  readonly lo: number;
}

/** Two nodes, each with an agent; everything is served in order of time. */
class Agents implements DvmPort {
  readonly machine: Machine;
  readonly agents: DvmAgent[];
  readonly effects: Effect[] = [];
  readonly acknowledgements: { issuer: number; at: number }[] = [];

  constructor(changes: Partial<Machine> = {}, seed = 1) {
    this.machine = { ...makeTestMachine({ cpuCount: 8, nodeCount: 2 }), ...changes };
    this.agents = [0, 1].map((node) => new DvmAgent(node, this.machine, seed, [0, 1], this));
  }

  issue(cpu: number, at: number, operation: number, lo = 0): void {
    const node = this.machine.nodeOfCpu[cpu]!;
    this.agents[node]!.issue(cpu, at, operation, 0, 0, lo, 1);
  }

  finish(): void {
    for (;;) {
      const due = Math.min(...this.agents.map(({ queue }) => queue.earliest()));
      if (due === Number.POSITIVE_INFINITY) return;
      for (const agent of this.agents) agent.serve(due + 1);
    }
  }

  forward(
    node: number,
    at: number,
    issuer: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    this.agents[node]!.receive(issuer, at, operation, context, hi, lo, pages);
  }

  apply(
    node: number,
    at: number,
    issuer: number,
    operation: number,
    _context: number,
    _hi: number,
    lo: number,
  ): void {
    this.effects.push({ node, at, issuer, operation, lo });
  }

  acknowledge(issuer: number, at: number): void {
    this.acknowledgements.push({ issuer, at });
  }
}

describe('DvmAgent', () => {
  it('takes effect on the boundary after the service, on the other node one hop later', () => {
    const agents = new Agents();
    agents.issue(0, ns(30), Tlbi.VaE1Is);
    agents.finish();
    const effects = agents.effects.map(({ node, at }) => [node, at]);
    expect(effects).toEqual([
      [0, ns(50)],
      [1, ns(100)],
    ]);
  });

  it('serves one operation at a time, at the machine\u2019s rate', () => {
    const agents = new Agents();
    for (const cpu of [0, 1, 2]) agents.issue(cpu, ns(100), Tlbi.VaE1Is);
    agents.issue(3, ns(100), DVM_SYNC);
    agents.finish();
    // 20 ns each: the Sync is served at 160 and acknowledged 25 ns later, the far one a hop after.
    expect(agents.acknowledgements).toContainEqual({ issuer: 3, at: ns(160 + 25) });
    expect(agents.acknowledgements).toContainEqual({ issuer: 3, at: ns(160 + 50 + 25 + 50) });
  });

  it('keeps a Sync behind the TLBI of the same CPU and instant, whatever its address', () => {
    for (const lo of [0x7000, 0, -4096]) {
      for (const syncFirst of [false, true]) {
        const agents = new Agents();
        if (syncFirst) agents.issue(0, ns(100), DVM_SYNC);
        agents.issue(0, ns(100), Tlbi.VaE1Is, lo);
        if (!syncFirst) agents.issue(0, ns(100), DVM_SYNC);
        agents.finish();
        const operations = agents.effects.filter(({ node }) => node === 0);
        expect(operations.map(({ operation }) => operation)).toEqual([Tlbi.VaE1Is, DVM_SYNC]);
      }
    }
  });

  it('never acknowledges before what the CPU issued in front has taken effect everywhere', () => {
    const step = fc.record({ cpu: fc.nat(7), gap: fc.nat(60), operations: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.nat(), (steps, seed) => {
        const agents = new Agents({ dvmServicePs: (seed % 3) * 15_000 }, seed);
        const synced = new Map<number, Set<number>>();
        let now = 0;
        let tag = 0;
        for (const { cpu, gap, operations } of steps) {
          now += ns(gap);
          // One DSB per CPU, so that its acknowledgements are its own.
          if (synced.has(cpu)) continue;
          const tags = new Set<number>();
          for (let i = 0; i < operations; i++) {
            tags.add(++tag);
            agents.issue(cpu, now + 1000 * i, Tlbi.VaE1Is, tag);
          }
          agents.issue(cpu, now + 1000 * Math.max(0, operations - 1), DVM_SYNC);
          synced.set(cpu, tags);
        }
        agents.finish();
        for (const [cpu, tags] of synced) {
          const mine = agents.acknowledgements.filter(({ issuer }) => issuer === cpu);
          expect(mine).toHaveLength(2);
          const complete = Math.max(...mine.map(({ at }) => at));
          const effects = agents.effects.filter(({ lo }) => tags.has(lo));
          expect(effects).toHaveLength(2 * tags.size);
          for (const { at } of effects) expect(at).toBeLessThanOrEqual(complete);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('decides ties between CPUs by the seed', () => {
    const winners = new Set<number>();
    for (let seed = 1; seed <= 30; seed++) {
      const agents = new Agents({}, seed);
      for (const cpu of [3, 2, 1, 0]) agents.issue(cpu, ns(100), Tlbi.VaE1Is);
      agents.finish();
      winners.add(agents.effects[0]!.issuer);
    }
    expect(winners.size).toBe(4);
  });
});
