/** Promise: numactl -H text goes out as numactl prints it, comes in again, and loses nothing. */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { estimatesOf, loadMachine } from '../../../src/machine/catalog.ts';
import { fromNumactl, toNumactl } from '../../../src/machine/numactl.ts';
import { parseUserMachine } from '../../../src/machine/user-file.ts';

const TWO_NODES = [
  'available: 2 nodes (0-1)',
  'node 0 cpus: 0 1 2 3',
  'node 0 size: 32000 MB',
  'node 0 free: 31000 MB',
  'node 1 cpus: 4 5 6 7',
  'node 1 size: 32001 MB',
  'node 1 free: 10 MB',
  'node distances:',
  'node   0   1 ',
  '  0:  10  21 ',
  '  1:  21  10 ',
  '',
].join('\n');

function imported(text: string, model = 'ampere_altra_2p_q80') {
  return parseUserMachine('imported.yaml', fromNumactl(text, model));
}

describe('toNumactl', () => {
  it("prints what numactl's own printf statements give", () => {
    const machine = imported(TWO_NODES);
    const expected = TWO_NODES.replace('free: 31000', 'free: 32000').replace(
      'free: 10',
      'free: 32001',
    );
    expect(toNumactl(machine)).toBe(expected);
  });

  it('keeps the columns of distances of three digits', () => {
    expect(toNumactl(loadMachine('graviton4_2p'))).toContain('\n  0:  10  100 \n  1:  100  10 \n');
  });

  it('has its words for one node', () => {
    const text = toNumactl(loadMachine('stingray_a72_8c'));
    expect(text).toBe(
      'available: 1 nodes (0)\nnode 0 cpus: 0 1 2 3 4 5 6 7\nnode 0 size: 16384 MB\n' +
        'node 0 free: 16384 MB\nnode distances:\nnode   0 \n  0:  10 \n',
    );
  });
});

describe('import of an export', () => {
  it.each(['graviton4_2p', 'kunpeng920_2p_128', 'xeon_spr_2p', 'stingray_a72_8c', 'epyc_rome_2p'])(
    'is the identity on the topology of %s',
    (name) => {
      const machine = loadMachine(name);
      for (const model of [name, 'graviton4_2p', 'graviton2_1p', 'xeon_spr_2p']) {
        const again = imported(toNumactl(machine), model);
        expect(toNumactl(again)).toBe(toNumactl(machine));
        expect(again.nodeOfCpu).toEqual(machine.nodeOfCpu);
        expect(again.slit).toEqual(machine.slit);
        expect(again.memoryBytesOfNode).toEqual(machine.memoryBytesOfNode);
      }
    },
  );

  it('finds the sockets of machines with several nodes per socket', () => {
    for (const name of ['kunpeng920_2p_128', 'xeon_spr_2p']) {
      const machine = loadMachine(name);
      expect(imported(toNumactl(machine), name).socketOfNode).toEqual(machine.socketOfNode);
    }
  });

  it('times the machine as its model where tiers tell all', () => {
    const machine = loadMachine('kunpeng920_2p_128');
    expect(imported(toNumactl(machine), machine.name).hash).toBe(machine.hash);
  });
});

describe('gaps', () => {
  it('are filled from the model and labelled estimate', () => {
    const machine = imported(TWO_NODES, 'graviton4-2p');
    const estimates = estimatesOf(machine);
    expect(estimates).toContain('latency.dramLocal');
    expect(estimates).toContain('topology.sockets');
    expect(estimates).not.toContain('topology.cpus');
    expect(machine.provenance['latency.dramLocal']!.source).toMatch(/^from graviton4_2p: Chips/);
    expect(machine.dramPsOfNode[0]).toBe(114_080);
  });

  it('are invented where the model has one node', () => {
    const machine = imported(TWO_NODES, 'graviton2_1p');
    expect(machine.provenance['latency.dramRemote']!.source).toMatch(/2 times latency\.dramLocal/);
    expect(machine.hopPs[1]).toBe(59_000);
  });

  it('are the usual distances when numactl has none', () => {
    const text = `${TWO_NODES.split('node distances')[0]}No distance information available.\n`;
    expect([...imported(text).slit]).toEqual([10, 20, 20, 10]);
  });
});

describe('texts of real machines', () => {
  it('may number nodes with holes and leave nodes without CPUs or memory', () => {
    const text = [
      'available: 3 nodes (0,8,252)',
      'node 0 cpus: 0 2 4 6',
      'node 0 size: 1000 MB',
      'node 8 cpus: 1 3 5 7',
      'node 8 size: <not available>',
      'node 252 cpus:',
      'node 252 size: 16000 MB',
      'node distances:',
      'node   0   8  252 ',
      '  0:  10  40  80 ',
      '  8:  40  10  80 ',
      ' 252:  80  80  10 ',
    ].join('\r\n');
    const machine = imported(text);
    expect([...machine.nodeOfCpu]).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
    expect([...machine.memoryBytesOfNode]).toEqual([1000 * 2 ** 20, 0, 16000 * 2 ** 20]);
    expect([...machine.slit]).toEqual([10, 40, 80, 40, 10, 80, 80, 80, 10]);
  });

  it('may have more memory per node than the address map', () => {
    const yaml = fromNumactl(TWO_NODES.replace('32000', '786432'), 'ampere_altra_2p_q80');
    expect(yaml).toMatch(/node 0 has 768G; the address map ends at 256G/);
    expect(parseUserMachine('x.yaml', yaml).memoryBytesOfNode[0]).toBe(2 ** 38);
  });
});

describe('a text that is none', () => {
  it.each([
    ['empty', '', /no nodes/],
    ['another program', 'bash: numactl: command not found\n', /line 1: can't read/],
    ['a CPU offline', TWO_NODES.replace(' 2 3', ' 3'), /CPU 2 is in no node/],
    ['a CPU twice', TWO_NODES.replace('4 5', '3 4 5'), /CPU 3 is in two nodes/],
    ['a torn table', TWO_NODES.replace('  1:  21  10 \n', ''), /no distance from node 1/],
    ['too many CPUs', TWO_NODES.replace('7', '70000'), /line 5: number 70000/],
  ])('%s', (_, text, expected) => {
    expect(() => imported(text)).toThrow(UserError);
    expect(() => imported(text)).toThrow(expected);
  });

  it('distances not the same both ways', () => {
    expect(() => imported(TWO_NODES.replace('0:  10  21', '0:  10  22'))).toThrow(/both ways/);
  });

  it('an unknown model', () => {
    expect(() => imported(TWO_NODES, 'graviton4')).toThrow(/did you mean 'graviton4_2p'/);
  });
});
