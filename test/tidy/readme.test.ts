/** Every command that the README shows is a command: run and compare resolve, the rest answers. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ROOT } from './project.ts';

const run = promisify(execFile);
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const SCRIPTS = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }
).scripts;

/** Lines `$ ...` of the console blocks, without their comments. */
const commands = [...README.matchAll(/^\$ (.*)$/gm)].map((match) =>
  match[1]!.replace(/\s+#.*$/, '').trim(),
);

/** What shows that the command would run: runs resolve, variants one by one, the rest answers. */
function dryRuns(command: string): string[] {
  const [, name, workload, ...rest] = command.split(/\s+/);
  if (name === 'run') return [['run', workload, ...rest, '--dry-run'].filter(Boolean).join(' ')];
  if (name !== 'compare') return [[name, workload, ...rest].join(' ')];
  const variants = rest.filter((word) => word.includes('='));
  const options = rest.filter((word) => !word.includes('='));
  return variants.map((variant) => `run ${workload} ${variant} ${options.join(' ')} --dry-run`);
}

describe('README.md', () => {
  const numalab = commands.filter((command) => command.startsWith('numalab '));

  it('shows commands', () => {
    expect(numalab.length).toBeGreaterThan(4);
  });

  it.each(numalab.flatMap(dryRuns))('numalab %s', async (command) => {
    const words = command.split(/\s+/);
    const { stdout } = await run(process.execPath, [join(ROOT, 'dist/src/cli.js'), ...words]);
    expect(stdout).not.toBe('');
  });

  it('names only scripts that package.json has', () => {
    const named = [...README.matchAll(/npm run ([\w-]+)/g)].map((match) => match[1]!);
    expect(named.filter((script) => !(script in SCRIPTS))).toEqual([]);
  });
});
