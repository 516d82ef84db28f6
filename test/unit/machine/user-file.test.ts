/**
 * Promise: a machine file that is wrong gets one line that says where (file, line, column), what is
 * wrong and what would be right; hostile files end the same way, quickly.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { loadMachine } from '../../../src/machine/catalog.ts';
import { parseUserMachine } from '../../../src/machine/user-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'numalab-machine-'));
afterAll(() => rmSync(folder, { recursive: true }));

function complaint(text: string, path = 'my.yaml'): string {
  try {
    parseUserMachine(path, text);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    const { message } = error as UserError;
    expect(message).not.toContain('\n');
    return message;
  }
  throw new Error('the file was accepted');
}

const BASE = 'base: graviton4_2p\n';

describe('a good file', () => {
  it('overrides single figures of a bundled machine', () => {
    const machine = parseUserMachine('fast.yaml', `${BASE}latency:\n  dramRemote: 200\n`);
    const base = loadMachine('graviton4_2p');
    expect(machine.name).toBe('fast');
    expect(machine.cpuCount).toBe(192);
    expect(machine.hopPs[1]).toBe((200_000 - 114_080) / 2);
    expect(machine.provenance['latency.dramRemote']).toEqual({
      value: 200,
      unit: 'ns',
      source: 'user file',
      confidence: 'estimate',
    });
    expect(machine.hash).not.toBe(base.hash);
    expect(machine.provenance['latency.dramLocal']).toEqual(base.provenance['latency.dramLocal']);
  });

  it('may say where a figure is from', () => {
    const text = `${BASE}latency: { dramRemote: { value: 0.2, unit: us, source: my desk } }\n`;
    const machine = parseUserMachine('x.yaml', text);
    expect(machine.provenance['latency.dramRemote']).toMatchObject({ confidence: 'published' });
    expect(machine.dramPsOfNode[1]! + 2 * machine.hopPs[1]! + machine.memoryExtraPs[1]!).toBe(
      200_000,
    );
  });

  it('may be JSON, and may name its base with dashes', () => {
    expect(parseUserMachine('x.json', '{"base": "graviton4-2p", "name": "mine"}').name).toBe(
      'mine',
    );
  });

  it('takes over topology as a whole or not at all', () => {
    const text = `${BASE}topology: { cpus: [0-3, 4-7, 8-9], memory: [4G, 4G, 0] }\n`;
    const machine = parseUserMachine('x.yaml', text);
    expect([...machine.socketOfNode]).toEqual([0, 1, 2]);
    expect([...machine.slit]).toEqual([10, 20, 20, 20, 10, 20, 20, 20, 10]);
    expect(machine.provenance).not.toHaveProperty(['topology.distances']);
  });

  it('may have a node without memory and a node without CPUs', () => {
    const text = `${BASE}topology: { cpus: ['0-3', ''], memory: [0, 64G] }\n`;
    const machine = parseUserMachine('x.yaml', text);
    expect([...machine.memoryBytesOfNode]).toEqual([0, 64 * 2 ** 30]);
    expect([...machine.nodeOfCpu]).toEqual([0, 0, 0, 0]);
  });

  it('puts its own memory latency above a measured matrix of the base', () => {
    const tiers = 'dramLocal: 100, dramCrossDie: 120, dramRemote: 200';
    const machine = parseUserMachine('x.yaml', `base: xeon_spr_2p\nlatency: { ${tiers} }\n`);
    expect([...machine.dramPsOfNode]).toEqual(Array(8).fill(100_000));
    expect(machine.provenance).not.toHaveProperty(['latency.dramMatrix']);
  });

  it('has the same hash as the machine whose numbers it repeats', () => {
    const same = parseUserMachine('x.yaml', `${BASE}latency: { dramRemote: 256.6 }\n`);
    expect(same.hash).toBe(loadMachine('graviton4_2p').hash);
  });
});

describe('a wrong value', () => {
  it.each([
    [
      'negative',
      'latency:\n  dramLocal: -5\n',
      /^my\.yaml:3:14: latency\.dramLocal: .*got -5; would be right: 114\.08$/,
    ],
    [
      'zero',
      'latency:\n  dramLocal: 0\n',
      /^my\.yaml:3:14: latency\.dramLocal: expected a time above 0/,
    ],
    [
      'zero in full',
      'latency:\n  dramLocal: { value: 0 }\n',
      /^my\.yaml:3:23: latency\.dramLocal: /,
    ],
    ['no number', 'latency:\n  dramLocal: soon\n', /got 'soon'/],
    ['not a number', 'latency:\n  dramLocal: .nan\n', /:3:14: .*got NaN/],
    ['huge', 'latency:\n  dramLocal: 1e300\n', /:3:14: .*believable/],
    ['empty', 'latency:\n  dramLocal:\n', /:3:13: .*got an empty value/],
    ['a list', 'latency:\n  dramLocal: [1, 2]\n', /:3:14: .*got a list/],
    ['a foreign unit', 'latency:\n  dramLocal: { value: 3, unit: parsecs }\n', /:3:23: .*parsecs/],
    [
      'a word of a closed list',
      'features: { bbm: 3 }\n',
      /:2:18: features\.bbm: expected 0, 1, 2, 2-noabort/,
    ],
    ['a flag', 'features: { fwb: sometimes }\n', /:2:18: .*true or false/],
    [
      'a confidence',
      'latency: { dramLocal: { value: 5, confidence: sure } }\n',
      /confidence: expected published/,
    ],
    [
      'remote below local',
      'latency:\n  dramRemote: 50\n',
      /:3:15: .*more than inside the node \(114\.08 ns\)/,
    ],
    [
      'transfer below local',
      'latency:\n  transferCrossSocket: 45\n',
      /:3:24: .*more than inside the node/,
    ],
    ['nodes too close', 'latency:\n  dramRemote: 114.5\n', /^my\.yaml:2:1|^my\.yaml:3:3/],
    [
      'a cluster farther than the node',
      'topology: { cpus: [0-3], memory: [4G], clusterCpus: 2 }\nlatency:\n  transferCluster: 60\n',
      /:4:20: .*closer CPUs/,
    ],
    [
      'a cluster without a figure',
      'topology: { cpus: [0-3], memory: [4G], clusterCpus: 2 }\n',
      /latency\.transferCluster: missing/,
    ],
    [
      'an answer of no time',
      'caches: { llc: { latency: 0.1 } }\n',
      /:2:27: caches\.llc\.latency: .*too little/,
    ],
    ['sets that are no power of two', 'caches: { l2: { ways: 7 } }\n', /:2:23: caches\.l2\.ways/],
    [
      'ways that do not divide a TLB',
      'tlbs: { tlb2: { ways: 7 } }\n',
      /tlbs\.tlb2\.ways: 2048 entries/,
    ],
  ])('%s', (_, text, expected) => {
    expect(complaint(BASE + text)).toMatch(expected);
  });

  it('far atomics on x86', () => {
    expect(complaint('base: xeon_spr_2p\ncoherence: { atomics: far }\n')).toMatch(/no far atomics/);
  });
});

describe('a wrong topology', () => {
  it.each([
    [
      'distances not the same both ways',
      'distances: [[10, 20], [21, 10]]',
      /:2:30: topology\.distances\[0\]\[1\]: .*20 from 0 to 1 and 21 back/,
    ],
    ['a node far from itself', 'distances: [[11, 20], [20, 10]]', /expected 10/],
    ['a distance below local', 'distances: [[10, 9], [9, 10]]', /expected 11 to 254/],
    ['a short row', 'distances: [[10, 20], [20]]', /distances\[1\]: expected 2 elements/],
    ['rows missing', 'distances: [[10]]', /distances: expected 2 elements/],
    ['a CPU twice', 'cpus: [0-3, 3-7], memory: [4G, 4G]', /CPU 3 is in two nodes/],
    ['a hole', 'cpus: [0-3, 5-7], memory: [4G, 4G]', /CPU 4 is in no node/],
    [
      'more than 1,024 CPUs',
      'cpus: [0-1023, 1024-1100], memory: [4G, 4G]',
      /cpus\[1\]: .*beyond CPU 1023/,
    ],
    ['billions of CPUs', 'cpus: [0-9999999999], memory: [4G]', /beyond CPU 1023/],
    ['no CPUs', "cpus: ['', ''], memory: [4G, 4G]", /no CPUs at all/],
    ['no memory', 'cpus: [0-3], memory: [0]', /no node has memory/],
    ['too much memory', 'cpus: [0-3], memory: [300G]', /memory\[0\]: expected 256G at most/],
    ['memory of other nodes', 'cpus: [0-3, 4-7]', /topology\.memory: missing.*'64G', '64G'/],
    [
      'sockets of other nodes',
      'cpus: [0-3], memory: [4G], sockets: [0, 1]',
      /sockets: expected 1 elements/,
    ],
  ])('%s', (_, text, expected) => {
    expect(complaint(`${BASE}topology: { ${text} }\n`)).toMatch(expected);
  });
});

describe('a wrong file', () => {
  it.each([
    [
      'an unknown key',
      `${BASE}latency:\n  dramLocl: 5\n`,
      /^my\.yaml:3:3: latency\.dramLocl: unknown key; did you mean 'dramLocal'\?/,
    ],
    [
      'an unknown key inside a value',
      `${BASE}clock: { vaule: 3 }\n`,
      /clock\.vaule: unknown key; did you mean 'value'/,
    ],
    [
      'an unknown section',
      `${BASE}latencies: {}\n`,
      /:2:1: latencies: unknown key; did you mean 'latency'/,
    ],
    ['a section that is a number', `${BASE}latency: 5\n`, /:2:10: latency: expected a section/],
    [
      'an unknown base',
      'base: graviton4\n',
      /:1:7: base: no bundled machine.*did you mean 'graviton4_2p'/,
    ],
    [
      'no base and little else',
      'clock: 3\ntopology: { cpus: [0-3], memory: [4G] }\n',
      /missing.*or base: NAME/,
    ],
    ['the same key twice', `${BASE}base: epyc_rome_2p\n`, /^my\.yaml:2:1: the same key twice/],
    ['broken YAML', 'a: [1, 2\nb: 3\n', /^my\.yaml:\d+:\d+: .*would be right: YAML/],
    ['several documents', `${BASE}---\n${BASE}`, /:2:1: several documents/],
    ['a list', '- 1\n', /:1:1: expected a machine/],
    ['nothing', '', /:1:1: expected a machine/],
    ['a tag', `${BASE}name: !!js/function x\n`, /:2:7: .*tag/i],
    ['an alias of nothing', `${BASE}clock: *x\n`, /:2:8: .*no aliases/],
    ['__proto__', `${BASE}__proto__: { a: 1 }\n`, /__proto__: unknown key/],
  ])('%s', (_, text, expected) => {
    expect(complaint(text)).toMatch(expected);
  });

  it('aliases that explode', () => {
    const levels = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (const [name, below] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf']) {
      levels.push(`${name}: &${name} [${Array(9).fill(`*${below}`).join(', ')}]`);
    }
    expect(complaint(levels.join('\n'))).toMatch(/^my\.yaml:2:8: .*alias/);
  });

  it.each(['[', '{a: ', '- ', 'a: ', '? '])('endless nesting of %s', (opening) => {
    const started = performance.now();
    expect(complaint(opening.repeat(200_000))).toMatch(/^my\.yaml:1:\d+: nested too deep/);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('a file that is none', () => {
  function loading(path: string): () => unknown {
    return () => loadMachine(path);
  }

  it('is missing, a folder, too large or no text', () => {
    const large = join(folder, 'large.yaml');
    writeFileSync(large, 'a'.repeat(1024 * 1024 + 1));
    const binary = join(folder, 'binary.yaml');
    writeFileSync(binary, Buffer.from([0xff, 0xfe, 0x00, 0x80]));
    expect(loading(join(folder, 'none.yaml'))).toThrow(/none\.yaml: no such file/);
    expect(loading(folder)).toThrow(/not a file/);
    expect(loading('/dev/zero')).toThrow(/not a file/);
    expect(loading(large)).toThrow(/1 MiB at most/);
    expect(loading(binary)).toThrow(/not UTF-8 text/);
    for (const path of [large, binary, folder]) expect(loading(path)).toThrow(UserError);
  });

  it('is read when it is fine', () => {
    const path = join(folder, 'mine.yml');
    writeFileSync(path, `${BASE}clock: 3.5\n`);
    expect(loadMachine(path)).toMatchObject({ name: 'mine', clockMhz: 3500 });
  });
});
