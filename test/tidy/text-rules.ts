/** Rules on one file's name and text, and on the tree of folders. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { filesBelow, ROOT, type SourceFile } from './project.ts';

const FILE_LINES_MAX = 400;
const LINE_COLUMNS_MAX = 100;
/** A folder with more files than this explains itself. */
const FILES_WITHOUT_README = 12;

export function longFiles(file: SourceFile): string[] {
  const count = file.lines.length - (file.text.endsWith('\n') ? 1 : 0);
  return count <= FILE_LINES_MAX
    ? []
    : [`${file.path}:${count}: ${count} lines (at most ${FILE_LINES_MAX})`];
}

export function longLines(file: SourceFile): string[] {
  return file.lines.flatMap((line, index) =>
    [...line].length <= LINE_COLUMNS_MAX
      ? []
      : [`${file.path}:${index + 1}: ${[...line].length} columns (at most ${LINE_COLUMNS_MAX})`],
  );
}

export function withoutOpeningComment(file: SourceFile): string[] {
  const text = file.text.replace(/^#!.*\n/, '');
  return /^(\/\*\*|\/\/)/.test(text) ? [] : [`${file.path}:1: opens without a comment`];
}

const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|soak|config))?\.ts$/;
/** A workload's file has the workload's name, and selftests have underscores. */
const SNAKE = /^[a-z0-9]+([-_][a-z0-9]+)*\.ts$/;

export function badNames(file: SourceFile): string[] {
  const form = dirname(file.path) === 'workloads' ? SNAKE : KEBAB;
  return form.test(basename(file.path)) ? [] : [`${file.path}:1: name is not kebab-case`];
}

/** Tests that stand for a later entry point (engines) or hold the product's own tools. */
const TESTS_THAT_COUNT = ['test/conformance/', 'test/oracle/', 'test/support/', 'test/e2e/'];

/** Parts that the program does not stand on yet, and what they are for. */
const AHEAD_OF_USE: Readonly<Record<string, string>> = {
  'src/translation/software-walk.ts': 'what tests compare the hardware walker with',
};

/** Files of src that no entry point reaches: dead code, even if it has a unit test. */
export function deadFiles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const product = files.filter(({ path }) => !path.startsWith('test/'));
  const entries = files.filter(
    ({ path }) =>
      path.startsWith('workers/') ||
      path === 'src/cli.ts' ||
      path === 'src/stress/mutation-score.ts' ||
      path === 'src/stress/mutants/replay-strings.ts' ||
      path === 'src/index.ts' ||
      TESTS_THAT_COUNT.some((folder) => path.startsWith(folder)),
  );
  const reached = new Set<string>();
  const pending = entries.map(({ path }) => path);
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const next of byPath.get(path)?.imports ?? [])
      if (next.path !== null) pending.push(next.path);
  }
  return product
    .filter(({ path }) => !reached.has(path) && !(path in AHEAD_OF_USE))
    .map(({ path }) => `${path}:1: nothing of the program reaches this file`);
}

/** Folders that are large enough to need a README.md, of their own or of the room around them. */
export function roomsWithoutReadme(files: readonly SourceFile[]): string[] {
  const counts = new Map<string, number>();
  for (const { path } of files) {
    const folder = dirname(path);
    if (folder.startsWith('src/')) counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  const explained = (folder: string): boolean =>
    folder !== 'src' && (exists(`${folder}/README.md`) || explained(dirname(folder)));
  return [...counts]
    .filter(([folder, count]) => count > FILES_WITHOUT_README && !explained(folder))
    .map(([folder, count]) => `${folder}: ${count} files and no README.md`);
}

/** Files that a README names and that are not there. */
export function staleReadmes(): string[] {
  const readmes = ['src', 'workers', 'workloads', 'test']
    .flatMap(filesBelow)
    .filter((path) => basename(path) === 'README.md');
  return ['README.md', ...readmes].filter(exists).flatMap((readme) => {
    const lines = readFileSync(join(ROOT, readme), 'utf8').split('\n');
    return lines.flatMap((line, index) =>
      namedFiles(line)
        .filter((name) => !resolves(name, dirname(readme)))
        .map((name) => `${readme}:${index + 1}: there is no ${name}`),
    );
  });
}

/** `path.ts` in backticks and [text](path) links, without anchors, patterns and addresses. */
function namedFiles(line: string): string[] {
  const quoted = [...line.matchAll(/`([\w./-]+\.(?:ts|md|json|yaml))`/g)].map((match) => match[1]!);
  const links = [...line.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
    .map((match) => match[1]!)
    .filter((target) => !/^[a-z]+:/.test(target));
  return [...quoted.filter((name) => name.endsWith('.ts') || name.includes('/')), ...links];
}

function resolves(name: string, folder: string): boolean {
  if (exists(join(folder, name)) || exists(name)) return true;
  if (name.includes('/')) return exists(join('src', name));
  // A bare name may stand for a file of the room, or for a test: `ticket.ts` in src/sync.
  return [folder, 'test'].some((below) => filesBelow(below).some((at) => basename(at) === name));
}

/** `ER-X2`, and what follows it: `ER-X2, X3`. */
const RULE_NAMES = /ER-([A-Z]\d+[a-z]?(?:(?:, | and )[A-Z]\d+[a-z]?)*)/g;

/** Short names of engine rules that are cited and that the table of src/engine doesn't explain. */
export function unknownRules(files: readonly SourceFile[]): string[] {
  const table = readFileSync(join(ROOT, 'src/engine/README.md'), 'utf8');
  const rows = table.split('\n').filter((line) => line.startsWith('| ER-'));
  const explained = new Set(rows.flatMap((row) => ruleNames(row.split('|')[1]!)));
  return files.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) =>
      ruleNames(line)
        .filter((name) => !explained.has(name))
        .map((name) => `${path}:${index + 1}: ER-${name} is not in src/engine/README.md`),
    ),
  );
}

function ruleNames(text: string): string[] {
  return [...text.matchAll(RULE_NAMES)].flatMap((match) => match[1]!.split(/, | and /));
}

const TOP_LEVEL = new Set([
  'src',
  'workers',
  'workloads',
  'test',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vitest.config.ts',
  'biome.json',
  'README.md',
  'LICENSE',
]);

/** Things that stand beside the rooms; what .gitignore lists and dot files don't count. */
export function strangersAtTheTop(): string[] {
  const ignored = readFileSync(join(ROOT, '.gitignore'), 'utf8').split('\n');
  const matches = (name: string): boolean =>
    ignored.some(
      (line) => line === name || (line.startsWith('*.') && name.endsWith(line.slice(1))),
    );
  return readdirSync(ROOT)
    .filter((name) => !name.startsWith('.') && !TOP_LEVEL.has(name) && !matches(name))
    .map((name) => `${name}: does not belong at the top level`);
}

function exists(path: string): boolean {
  return existsSync(join(ROOT, path));
}
