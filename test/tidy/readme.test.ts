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

/** What shows that the command would run: runs and variants resolve, the rest answers. */
function dryRun(command: string): string {
  const words = command.split(/\s+/).slice(1);
  const resolves = words[0] === 'run' || words[0] === 'compare';
  return [...words, ...(resolves ? ['--dry-run'] : [])].join(' ');
}

/** Timing rules may move figures a little; their units and the width of columns, too. */
function withoutFigures(line: string): string {
  return line.replace(/[\d.,]+( [num]?s\b)?/g, '#').replace(/ +/g, ' ');
}

describe('README.md', () => {
  const numalab = commands.filter((command) => command.startsWith('numalab '));

  it('shows commands', () => {
    expect(numalab.length).toBeGreaterThan(4);
  });

  it.each(numalab.map(dryRun))('numalab %s', async (command) => {
    const words = command.split(/\s+/);
    const { stdout } = await run(process.execPath, [join(ROOT, 'dist/src/cli.js'), ...words]);
    expect(stdout).not.toBe('');
  });

  it('opens with a session as it is printed, figures aside', async () => {
    const [prompt, ...lines] = /```console\n([\s\S]*?)```/.exec(README)![1]!.trimEnd().split('\n');
    const words = prompt!.replace('$ numalab ', '').split(' ');
    const { stdout } = await run(process.execPath, [join(ROOT, 'dist/src/cli.js'), ...words]);
    const printed = new Set(stdout.split('\n').map(withoutFigures));
    const shown = lines.filter((line) => line !== '[...]' && line !== '');
    expect(shown.length).toBeGreaterThan(15);
    expect(shown.filter((line) => !printed.has(withoutFigures(line)))).toEqual([]);
  });

  it('names only scripts that package.json has', () => {
    const named = [...README.matchAll(/npm run ([\w-]+)/g)].map((match) => match[1]!);
    expect(named.filter((script) => !(script in SCRIPTS))).toEqual([]);
  });
});
