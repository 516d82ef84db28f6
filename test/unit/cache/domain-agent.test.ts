/**
 * What a last-level domain does for a CPU (domain-agent.ts, domain-sharers.ts): remote lines that
 * left the private caches come back at last-level latency where llcPlacement is requester, from
 * the home where it is home; a write elsewhere takes them away; capacity is that of the domain.
 */

import { expect, test } from 'vitest';
import { DomainAgent } from '../../../src/cache/domain-agent.ts';
import { DomainCache } from '../../../src/cache/domain-cache.ts';
import type { Source } from '../../../src/cache/line-service.ts';
import { RequestKind } from '../../../src/cache/line-state.ts';
import { loadMachine } from '../../../src/machine/catalog.ts';
import { llcDomains } from '../../../src/machine/llc-domains.ts';
import type { Machine } from '../../../src/machine/machine.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

const LINE = 0x1000;

/** CPUs 0-3 on node 0, 4-7 on node 1; lines with hi 64 belong to node 1. */
const REQUESTER: Machine = {
  ...makeTestMachine({ cpuCount: 8, nodeCount: 2 }),
  llcPlacement: 'requester',
};
const REMOTE_HI = 64;

function makeAgent(machine = REQUESTER) {
  const seen: string[] = [];
  const agent = new DomainAgent(0, llcDomains(machine)!, machine, 1, {
    grant: (cpu: number, at: number, _state: number, source: Source) => {
      seen.push(`grant cpu${cpu} ${at} source ${source}`);
    },
    lose: (cpu: number, effect: number) => seen.push(`lose cpu${cpu} ${effect}`),
    passOn: (cpu, home, at) => seen.push(`home${home} cpu${cpu} ${at}`),
    leave: (_domain, home, at) => seen.push(`leave home${home} ${at}`),
  });
  return { agent, seen };
}

test('what is not there is asked of the home, what is comes at last-level latency', () => {
  const { agent, seen } = makeAgent();
  agent.request(1, 1_000, REMOTE_HI, LINE, RequestKind.Read);
  agent.fill(200_000, REMOTE_HI, LINE);
  agent.request(2, 300_000, REMOTE_HI, LINE, RequestKind.Read);
  agent.serve(Number.POSITIVE_INFINITY);
  expect(seen).toEqual([`home1 cpu1 ${1_000 + 50_000}`, 'grant cpu2 330000 source 5']);
});

test('a snoop reaches the CPUs that were served, after the grant that is under way', () => {
  const { agent, seen } = makeAgent();
  agent.fill(0, REMOTE_HI, LINE);
  agent.request(2, 100_000, REMOTE_HI, LINE, RequestKind.Read);
  agent.request(3, 101_000, REMOTE_HI, LINE, RequestKind.Read);
  agent.snoop(110_000, REMOTE_HI, LINE, 3);
  agent.request(1, 111_000, REMOTE_HI, LINE, RequestKind.Read);
  agent.serve(Number.POSITIVE_INFINITY);
  // The second request waits for the port; its grant is at 132 ns, and the grid step is 25 ns.
  expect(seen.slice(0, 2)).toEqual(['grant cpu2 130000 source 5', 'grant cpu3 132000 source 5']);
  expect(seen.slice(2)).toEqual(['lose cpu2 150000', `home1 cpu1 ${111_000 + 50_000}`]);
});

test('what falls out and was served to nobody is reported to its home', () => {
  const llc = { ...REQUESTER.llc, sets: 1, ways: 2 };
  const { agent, seen } = makeAgent({ ...REQUESTER, llc });
  for (let line = 0; line < 3; line++) agent.fill(1_000 * line, REMOTE_HI, LINE + 64 * line);
  agent.serve(Number.POSITIVE_INFINITY);
  expect(seen).toEqual([`leave home1 ${2_000 + 50_000}`]);
});

test('lines of different homes with one number are told apart', () => {
  const cache = new DomainCache({ bytes: 256, ways: 4, sets: 1, latencyPs: 1 });
  cache.fill(1, 7);
  cache.fill(2, 7);
  cache.remove(1, 7);
  expect([cache.has(1, 7), cache.has(2, 7)]).toEqual([false, true]);
});

test('domains are core complexes on EPYC, sockets on Xeon, and none where the home caches', () => {
  expect(llcDomains(loadMachine('epyc_milan_2p'))!.count).toBe(12);
  expect(llcDomains(loadMachine('epyc_milan_2p'))!.cache.bytes).toBe(32 * 2 ** 20);
  expect(llcDomains(loadMachine('xeon_skylake_6140_2p'))!.count).toBe(2);
  expect(llcDomains(loadMachine('graviton4_2p'))).toBeNull();
});
