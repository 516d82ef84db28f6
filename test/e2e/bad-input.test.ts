/** Promise: bad input is one line that says what would be right, exit 1, nothing written. */

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numalab } from './numalab.ts';

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'numalab-'));
  writeFileSync(join(folder, 'file'), 'x');
  mkdirSync(join(folder, 'full'));
  writeFileSync(join(folder, 'full', 'file'), 'x');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function refused(words: readonly string[], message: RegExp): Promise<void> {
  const outcome = await numalab(words, { cwd: folder });
  expect(outcome.stderr, words.join(' ')).toMatch(message);
  expect(outcome.stderr.trimEnd()).not.toContain('\n');
  expect(outcome.stderr).not.toMatch(/\bat .*:\d+:\d+\)?$/);
  expect(outcome.stdout).toBe('');
  expect(outcome.code, words.join(' ')).toBe(1);
}

async function allRefused(cases: readonly (readonly [string, RegExp])[]): Promise<void> {
  for (const [line, message] of cases) await refused(line.split(' '), message);
}

describe('names', () => {
  it('unknown ones get a suggestion', () =>
    allRefused([
      ['rnu', /no command 'rnu'; did you mean 'run'/],
      ['sweep', /sweep is not in this version/],
      ['run memory_latncy', /no workload .*did you mean 'memory_latency'/],
      ['run memory_latency -m graviton5', /unknown machine 'graviton5'; did you mean/],
      ['run memory_latency maximun=1M', /no parameter 'maximun'; did you mean 'maximum'/],
      ['run memory_latency pageSize=2N', /pageSize: '2N' is not one of/],
      ['run memory_latency --cpuz 3', /no option --cpuz; did you mean 'cpus'/],
      ['list wrkloads', /no list of 'wrkloads'; did you mean 'workloads'/],
      ['run memory_latency --like v6.14', /--like: 'v6.14'/],
    ]));
});

describe('values', () => {
  it('numbers that are none, or too large, or given twice', () =>
    allRefused([
      ['run memory_latency -c 0', /--cpus: '0' is too small/],
      ['run memory_latency -c -1', /--cpus: '-1'/],
      ['run memory_latency -c 1.5', /--cpus: '1.5' is no count/],
      ['run memory_latency -c 999', /999 CPUs are more than there are; graviton4_2p has 192/],
      ['run memory_latency -c 0-400', /CPU 192 does not exist/],
      ['run memory_latency -c 1..64', /ranges come with numalab sweep/],
      ['run memory_latency -c 1e3', /no count/],
      ['run memory_latency -c', /--cpus needs a value/],
      ['run memory_latency -c 2 -c 4', /--cpus is given 2 times/],
      ['run memory_latency --seed 9007199254740993', /beyond 2\^53/],
      ['run memory_latency --seed 9007199254740992 -r 2', /pass 2\^53/],
      ['run memory_latency -r 0', /--repeat: '0' is too small/],
      ['run memory_latency --threads many', /--threads: 'many'/],
      ['run memory_latency accesses=0', /accesses: '0' is too small/],
      ['run memory_latency accesses=', /accesses: an empty value/],
      ['run memory_latency n=3 accesses=4', /accesses is given twice/],
      ['run memory_latency accesses=99999999999999999999', /too large/],
      ['run memory_latency mempolicy=bind:7', /node 7 does not exist/],
      ['run memory_latency placement=spread -c 0-3', /already says where/],
      ['run memory_latency --color blue', /--color: 'blue'/],
      ['run memory_latency --dry-run=1', /--dry-run takes no value/],
      ['run memory_latency --json=yes', /--json takes no value/],
      ['run --version', /run has no option --version/],
      ['run memory_latency --help=3', /--help takes no value/],
      ['run memory_latency rodata=on', /rodata=on means different things/],
    ]));
});

describe('what is not in this version', () => {
  it('says so', () =>
    allRefused([
      ['run --engine explore', /use numalab stress/],
      ['run --engine host --threads 2', /one thread per CPU/],
      ['run --time 5s', /only --engine host takes it/],
      ['run --engine host --time 0', /--time: '0'/],
      ['compare lock_contention lock=tas lock=mcs --engine host', /are not compared/],
      ['run --engine fast', /none of virtual, host, explore/],
    ]));
});

describe('x86 machines', () => {
  it('say what is missing', () =>
    refused(
      ['run', 'demand_paging_test', '-m', 'epyc_rome_2p'],
      /needs stage-2.*x86.*does not have/,
    ));

  it('have no broadcast invalidation', () =>
    refused(
      ['run', 'tlb_shootdown', 'method=tlbi', '-m', 'epyc_rome_2p'],
      /method=tlbi: .*would be right: method=ipi/,
    ));
});

describe('emulated memory', () => {
  it('that does not suffice: known before, or met on the way', async () => {
    const machine = ['name: small', 'base: ampere_altra_1p_q80', 'topology:', "  cpus: ['0-7']"];
    writeFileSync(join(folder, 'small.yaml'), [...machine, "  memory: ['64M']", ''].join('\n'));
    await allRefused([
      ['run memory_latency -m small.yaml', /has 64M of memory, \d+M are needed; lower/],
      ['run dirty_log_perf_test -m small.yaml b=16M v=4 --quiet', /out of .* memory.*; lower per/],
      ['run page_fault1 -m small.yaml size=64M -c 4 --quiet', /out of .* memory.*; lower size=/],
    ]);
  });
});

describe('--out', () => {
  it('is checked before the run', () =>
    allRefused([
      ['run memory_latency maximum=16K -o full', /exists and is not empty; .*--force/],
      ['run memory_latency maximum=16K -o file', /is a file; name a folder/],
      ['run memory_latency maximum=16K -o file/below', /lies below the file/],
      ['run memory_latency maximum=16K -o /proc/none/below', /: no folder can be made there/],
      [`run memory_latency maximum=16K -o ${'x'.repeat(300)}`, /the name is too long/],
    ]));

  it('refuses what cannot be written', async () => {
    if (process.getuid?.() === 0) return;
    mkdirSync(join(folder, 'locked'));
    chmodSync(join(folder, 'locked'), 0o555);
    await refused(['run', 'memory_latency', 'maximum=16K', '-o', 'locked/x'], /no permission/);
  });

  it('a full disk leaves nothing half written', async () => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', disk], { stdio: 'pipe' });
    } catch {
      return;
    }
    try {
      const words = ['run', 'memory_latency', 'maximum=64K', '--quiet', '-o', 'disk/out'];
      await refused(words, /no space left/);
      expect(existsSync(join(disk, 'out', 'result.json'))).toBe(false);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});

describe('compare', () => {
  it('needs two of something that exists', () =>
    allRefused([
      ['compare', /needs a workload/],
      ['compare lock_contention lock=ticket', /at least two variants/],
      ['compare lock_contention', /at least two variants/],
      ['compare lock_contention lock=ticket lock=tickt', /did you mean 'ticket'/],
      ['compare lock_contention ticket mcs', /'ticket' is no variant/],
      ['compare ./a ./b', /\.\/a: no such/],
      ['compare ./a', /at least two results/],
    ]));
});

describe('profiles', () => {
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return `run ${name}`;
  };

  it('name line and column', async () => {
    const part = (more: string): string =>
      `parts:\n  - label: a\n    workload: memory_latency\n    cpus: 0\n${more}`;
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((key, index) => {
        const before = 'abcdefgh'[index]!;
        return `${key}: &${key} [${new Array(9).fill(`*${before}`).join(',')}]\n`;
      })
      .join('')}`;
    await allRefused([
      ['run nothing.yaml', /nothing.yaml: no such file/],
      [write('broken.yaml', 'parts: [1, 2\nx: {'), /broken.yaml:\d+:\d+: /],
      [write('key.yaml', part('    cpu: 3\n')), /key.yaml:5:5: unknown key 'cpu'/],
      [write('label.yaml', part('').replace('label: a', 'label: [1]')), /label.yaml:2:12: /],
      [write('none.yaml', 'parts: []\n'), /none.yaml:1:8: parts/],
      [write('bomb.yaml', bomb), /bomb.yaml:\d+:\d+: /],
      [
        write('shared.yaml', part('  - label: b\n    workload: core_to_core\n    cpus: 0-1\n')),
        /shared.yaml:5:5: CPU 0 of 'b' belongs to 'a'/,
      ],
      [
        write('unknown.yaml', part('    parameters: { acesses: 3 }\n')),
        /unknown.yaml:2:5: memory_latency has no parameter 'acesses'; did you mean/,
      ],
      [`${write('good.yaml', part(''))} -c 4`, /says which CPUs/],
      [`${write('good.yaml', part(''))} bogus=4`, /no part of good knows bogus/],
    ]);
  });

  it('refuses 2 MiB of YAML unread', async () => {
    const line = write('huge.yaml', `# ${'x'.repeat(2 * 1024 * 1024)}\n`);
    await refused(line.split(' '), /huge.yaml: \d+ bytes; .*1 MiB/);
  });
});
