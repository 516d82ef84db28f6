/** Promise: a count of CPUs fills nodes as told, roles follow the order of the list. */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import {
  chooseCpus,
  cpuOrder,
  isCpulist,
  listedCpus,
  placementMap,
  resolvePlacement,
} from '../../../src/run/placement.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

const machine = makeTestMachine({ cpuCount: 8, nodeCount: 2 });

describe('placement', () => {
  it('packs node 0 first, or goes round the nodes', () => {
    expect(cpuOrder(machine, 'packed')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(cpuOrder(machine, 'spread')).toEqual([0, 4, 1, 5, 2, 6, 3, 7]);
    expect(chooseCpus(machine, '3', 'spread')).toEqual([0, 4, 1]);
  });

  it('spreads over nodes of different sizes', () => {
    const uneven = { ...machine, nodeOfCpu: Int32Array.of(0, 1, 1, 1, 1, 1, 1, 1) };
    expect(cpuOrder(uneven, 'spread')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('takes lists in their order and refuses what the machine lacks', () => {
    expect(chooseCpus(machine, '4-5,1', 'packed')).toEqual([4, 5, 1]);
    expect(listedCpus(machine, 'cpus', '3')).toEqual([3]);
    expect(isCpulist('-3')).toBe(false);
    expect(() => chooseCpus(machine, '9', 'packed')).toThrow(UserError);
    expect(() => chooseCpus(machine, '0-8', 'packed')).toThrow(/CPU 8 does not exist/);
  });

  it('resolves mempolicy as numactl names it', () => {
    const policy = (mempolicy: string) => resolvePlacement(machine, [0], { mempolicy });
    expect(policy('bind:1')).toMatchObject({ memoryPolicy: 'bind', bindNode: 1 });
    expect(policy('interleave')).toMatchObject({ memoryPolicy: 'interleave' });
    expect(() => policy('bind:2')).toThrow(/node 2 does not exist/);
    expect(() => policy('bind')).toThrow(/first-touch, interleave, bind:NODE/);
    const bare = { ...machine, memoryBytesOfNode: Float64Array.of(1e9, 0) };
    expect(() => resolvePlacement(bare, [0], { mempolicy: 'bind:1' })).toThrow(/no memory/);
  });

  it('prints the map with helpers apart', () => {
    const placement = resolvePlacement(machine, [0, 1, 4, 5], { mempolicy: 'first-touch' });
    expect(placementMap(machine, placement, 1)).toBe(
      'node 0: CPUs 0-1; node 1: CPU 4; helper on CPU 5',
    );
  });
});
