/** Promise: numalab stress finds, explains and replays, and says what a clean pass is worth. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { numalab, type Outcome } from './numalab.ts';
import { BROKEN, lockFolder, MISUSES, TAS } from './user-locks.ts';

const folder = lockFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (line: string): Promise<Outcome> => numalab(line.split(' '), { cwd: folder });

interface Failure {
  readonly schedule: number;
  readonly signature: string;
  readonly replay: string;
  readonly switches: number;
}

interface TargetResult {
  readonly verdict: string;
  readonly schedules: number;
  readonly digest: string;
  readonly failures: readonly Failure[];
  readonly residuals: readonly { readonly depth: number; readonly missProbability: number }[];
  readonly goals: readonly { readonly name: string; readonly status: string }[];
}

async function stressed(line: string, code: number): Promise<readonly TargetResult[]> {
  const outcome = await run(`stress ${line} --json --quiet`);
  expect(outcome.stderr).toBe('');
  expect(outcome.code, line).toBe(code);
  const result = JSON.parse(outcome.stdout) as { schema: string; targets: TargetResult[] };
  expect(result.schema).toBe('numalab-stress/1');
  return result.targets;
}

async function refused(line: string, message: RegExp): Promise<void> {
  const outcome = await run(line);
  expect(outcome.stderr, line).toMatch(message);
  expect(outcome.stderr.trimEnd()).not.toContain('\n');
  expect(outcome.stdout).toBe('');
  expect(outcome.code, line).toBe(1);
}

describe('a clean pass', () => {
  it('says what it is worth', async () => {
    const { stdout, code } = await run('stress ticket --schedules 1200 --quiet');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^passed: 1,200 schedules, /m);
    expect(stdout).toMatch(/a mistake of depth 2 stayed hidden with probability <= /);
    expect(stdout).toMatch(/depth 3 .*\(PCT, 200 schedules, n = 6, k = \d+\)/);
    expect(stdout).toMatch(/reached: contended, two waiters/);
  });

  it('says what so few CPUs cannot reach', async () => {
    const { stdout, code } = await run('stress ticket --schedules 300 -c 2 --quiet');
    expect(code).toBe(0);
    expect(stdout).toMatch(/out of reach: two waiters not reachable with 2 CPUs \(needs 3\)/);
  });

  it('that missed what it could reach is vacuous: exit 2', async () => {
    const [target] = await stressed('hazard-pointers --schedules 1', 2);
    expect(target!.verdict).toBe('vacuous');
    expect(target!.goals.some(({ status }) => status === 'missed')).toBe(true);
  });

  it('cut short by the time is incomplete: exit 0', async () => {
    const [target] = await stressed('ticket --time 4s --schedules 900000000', 0);
    expect(target!.verdict).toBe('incomplete');
    expect(target!.schedules).toBeGreaterThan(0);
  });

  it('is complete when all schedules were run', async () => {
    const { stdout, code } = await run('stress ticket --strategy exhaustive --quiet');
    expect(code).toBe(0);
    expect(stdout).toMatch(/complete: these are all executions that differ/);
  });

  it('is one line per target for several', async () => {
    const { stdout, code } = await run('stress locks --schedules 60 --keep-going --quiet');
    expect([0, 2]).toContain(code);
    expect(stdout).toMatch(/^mcs +passed +60 schedules/m);
    expect(stdout).toMatch(/^\d+ targets: /m);
  });
});

describe('a failure', () => {
  it('is told with CPUs, field, source lines, columns and a replay', async () => {
    const { stdout, code } = await run('stress ./broken.mjs --quiet');
    expect(code).toBe(2);
    expect(stdout).toMatch(/^exclusion: CPU \d .*0x\w+ lock0; with CPU \d\)$/m);
    expect(stdout).toMatch(/CPU \d: last store32 lock0 = 1 in acquire \(broken.mjs:6\)/);
    expect(stdout).toMatch(/^shortest schedule: 2 CPUs, 1 operation each, \d steps, [12] context/m);
    expect(stdout).toMatch(/^ step {2}CPU 0 +CPU 1 +where$/m);
    expect(stdout).toMatch(/^replay: numalab stress \.\/broken\.mjs --replay nl1\./m);
    const command = /^replay: numalab (.*)$/m.exec(stdout)![1]!;
    const again = await run(command);
    expect(again.code).toBe(2);
    expect(again.stdout).toMatch(/^failed again: exclusion@lock0$/m);
    expect(again.stderr).toBe('');
  });

  it.each([
    ['M06', 2],
    ['M46', 4],
    ['M31', 3],
  ])('of mutant %s is the same for any number of jobs, short, and replays', async (id, most) => {
    const results = await Promise.all(
      [1, 2, 4].map((jobs) => stressed(`mutant=${id} --jobs ${jobs}`, 2)),
    );
    const [first] = results[0]!;
    for (const [target] of results) {
      expect(target!.digest).toBe(first!.digest);
      expect(target!.schedules).toBe(first!.schedules);
      expect(target!.failures[0]!.schedule).toBe(first!.failures[0]!.schedule);
    }
    const failure = first!.failures[0]!;
    for (const [target] of results) expect(target!.failures[0]!.replay).toBe(failure.replay);
    expect(failure.switches).toBeLessThanOrEqual(most);
    writeFileSync(join(folder, `${id}.replay`), `${failure.replay}\n`);
    const again = await run(`stress mutant=${id} --replay @${id}.replay`);
    expect(again.stdout).toContain(`failed again: ${failure.signature}`);
    expect(again.code).toBe(2);
  });

  it('survives lines moved in the lock, and says when it is gone', async () => {
    const [target] = await stressed('./broken.mjs', 2);
    const { replay } = target!.failures[0]!;
    writeFileSync(join(folder, 'moved.mjs'), `// One more line.\n\n${BROKEN}`);
    const moved = await run(`stress ./moved.mjs --replay ${replay}`);
    expect(moved.stderr).toBe('numalab: warning: ./moved.mjs has changed since then\n');
    expect(moved.stdout).toMatch(/failed again: exclusion@lock0/);
    expect(moved.code).toBe(2);
    const other = await run(`stress ./tas.mjs --replay ${replay}`);
    expect(other.stderr).toMatch(/diverged at CPU \d acquire: \w+ lock0 \(no. 1\), segment 1 of/);
    expect(other.code).toBe(1);
  });
});

describe('the lock of the README', () => {
  it('breaks as is shown there', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const example = /```js\n(\/\/ my-lock\.mjs[\s\S]*?)```/.exec(readme)![1]!;
    writeFileSync(join(folder, 'my-lock.mjs'), example);
    const { stdout, code } = await run('stress ./my-lock.mjs --quiet');
    expect(code).toBe(2);
    const shown = /```text\n(exclusion[\s\S]*?)```/.exec(readme)![1]!.trimEnd().split('\n');
    for (const line of shown.filter((each) => each !== '[...]' && !each.startsWith('replay:'))) {
      expect(stdout.split('\n')).toContain(line);
    }
    expect(stdout).toContain('replay: numalab stress ./my-lock.mjs --replay nl1.');
  });
});

describe('bad input', () => {
  it('of stress', async () => {
    await refused('stress', /stress what\?/);
    await refused('stress tickt', /no stress target 'tickt'; did you mean 'ticket'/);
    await refused('stress ticket --strategy pcct', /no strategy 'pcct'; did you mean 'pct'/);
    await refused('stress ticket --oracle exclusio', /no oracle 'exclusio'; did you mean/);
    await refused('stress ticket --schedules 0', /--schedules: '0' is too small/);
    await refused('stress ticket --time 0', /--time: '0' is too small/);
    await refused('stress ticket -c 1', /ticket takes 2 to 64 CPUs, not 1/);
    await refused('stress ticket -c 65', /not 65: the explore engine takes no more/);
    await refused('stress ticket --memory-model arm', /'arm' is none of sc, tso/);
    await refused('stress mutant=M99', /there is no 'M99'/);
    await refused('stress mcs mutant=M06', /M06 .* is not of mcs/);
    await refused(
      'stress mcs --strategy exhaustive -c 6 --ops 5',
      /exhaustive: mcs .* has between .* executions .*use fewer CPUs or operations, strategy pct/,
    );
  });

  it('of --replay: what the string is of', async () => {
    const [target] = await stressed('mutant=M06 --memory-model sc', 2);
    const { replay } = target!.failures[0]!;
    const damaged = `${replay.slice(0, 20)}x${replay.slice(21)}`;
    await refused('stress --replay hello', /no replay string: it starts with nl1/);
    await refused('stress --replay @nofile', /'nofile': no such file/);
    await refused(`stress --replay ${damaged}`, /is damaged/);
    await refused(`stress mcs --replay ${replay}`, /of another target: ticket-nonatomic, not mcs/);
    await refused(`stress mutant=M01 --replay ${replay}`, /of another mutant: M06, not M01/);
    await refused(`stress mutant=M06 -c 4 --replay ${replay}`, /another CPU count: 2, not 4/);
    await refused(
      `stress mutant=M06 --memory-model tso --replay ${replay}`,
      /of another memory model: sc, not tso/,
    );
  });
});

describe("a user's lock", () => {
  it('is stressed and measured', async () => {
    const [target] = await stressed('./tas.mjs --schedules 600', 0);
    expect(target!.verdict).toBe('passed');
    const words = 'lock_contention lock=./tas.mjs -c 4 i=50 --json --quiet';
    const { stdout, code } = await run(`run ${words}`);
    expect(code).toBe(0);
    const { histograms } = JSON.parse(stdout) as { histograms: Record<string, unknown> };
    expect(histograms).toHaveProperty(['lock.wait']);
  });

  it('that is missing', () => refused('stress ./missing.mjs', /missing.mjs': no such file/));

  it.each(MISUSES)('%s: one line', async (file, _text, message) => {
    await refused(`stress ./${file} --quiet`, message);
    await refused(`run lock_contention lock=./${file} -c 4 i=50 --quiet`, message);
  });

  it('that hangs only under contention ends, too', async () => {
    const hang = TAS.replace('if (cpu.lo === 0) return;', 'if (cpu.lo === 0) return; for (;;);');
    writeFileSync(join(folder, 'late.mjs'), hang);
    await refused('stress ./late.mjs --quiet', /late.mjs: acquire or release never yields/);
  });

  it('that ends its thread is told apart', async () => {
    const exits = TAS.replace('if (cpu.lo === 0) return;', 'if (cpu.lo) process.exit(3); return;');
    writeFileSync(join(folder, 'exits.mjs'), exits);
    await refused('stress ./exits.mjs --quiet', /exits.mjs: a worker thread died/);
  });
});

describe('Ctrl-C', () => {
  it('ends a campaign', async () => {
    const words = ['stress', 'mcs', '--time', '40s', '--quiet'];
    const { code, stderr, ms } = await numalab(words, { interruptAfterMs: 2500 });
    expect(stderr).toBe('numalab: interrupted\n');
    expect(code).toBe(130);
    expect(ms).toBeLessThan(15_000);
  });
});
