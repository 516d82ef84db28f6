/** Shows that every tidy rule can fail: a small file that breaks it, and one that doesn't. */

import { describe, expect, it } from 'vitest';
import { parseSource, type SourceFile } from './project.ts';
import { unknownRooms, wrongArrows } from './rooms.ts';
import {
  defaultExports,
  leftovers,
  longFunctions,
  moduleState,
  notErasable,
  outsideInfluences,
} from './syntax-rules.ts';
import {
  badNames,
  deadFiles,
  longFiles,
  longLines,
  unknownRules,
  withoutOpeningComment,
} from './text-rules.ts';

type Rule = (file: SourceFile) => string[];

function findings(rule: Rule, text: string, path = 'src/sync/example.ts'): string[] {
  return rule(parseSource(path, text));
}

function arrows(path: string, text: string): string[] {
  return wrongArrows([parseSource(path, text)]);
}

const LONG_BODY = 'work();\n'.repeat(70);

describe('imports', () => {
  it.each([
    ['src/sync/a.ts', "import { b } from '../kernel/base/buddy.ts';"],
    ['src/engine/virtual/a.ts', "import type { Lock } from '../../sync/lock.ts';"],
    ['src/metrics/a.ts', "import { Cost } from '../machine/costs.ts';"],
    ['src/kernel/stage2/a.ts', "import { runWorker } from '../../engine/virtual/run-worker.ts';"],
    ['src/base/a.ts', "export * from '../machine/costs.ts';"],
    ['src/commands/a.ts', "const x = await import('../engine/virtual/worker.ts');"],
    ['workloads/a.ts', "import { runSeeds } from '../src/run/run.ts';"],
    ['src/cpu/operations.ts', "import { Tlb } from '../translation/tlb.ts';"],
    ['src/translation/a.ts', "import type { State } from '../cpu/cpu-state.ts';"],
    ['src/kernel/base/a.ts', "import { readFileSync } from 'node:fs';"],
  ])('refuses the arrow of %s', (path, text) => {
    expect(arrows(path, text)).toHaveLength(1);
  });

  it.each([
    ['src/translation/a.ts', "import { Tlbi } from '../cpu/operations.ts';"],
    ['src/kernel/stage2/a.ts', "import { makeLock } from '../../sync/registry.ts';"],
    ['src/run/a.ts', "import { runWorker } from '../engine/virtual/run-worker.ts';"],
    ['src/run/b.ts', "import { Piscina } from 'piscina';"],
  ])('allows the arrow of %s', (path, text) => {
    expect(arrows(path, text)).toEqual([]);
  });

  it('refuses a room without a place', () => {
    expect(unknownRooms([parseSource('src/attic/a.ts', '')])).toHaveLength(1);
  });

  it('finds files that nothing reaches, also by import() and export from', () => {
    const files = [
      parseSource('src/cli.ts', "await import('./commands/main.ts'); export * from './run/a.ts';"),
      parseSource('src/commands/main.ts', ''),
      parseSource('src/run/a.ts', ''),
      parseSource('src/run/b.ts', ''),
    ];
    expect(deadFiles(files).map((line) => line.split(':')[0])).toEqual(['src/run/b.ts']);
  });
});

describe('sizes', () => {
  it('counts lines of files, columns of lines', () => {
    expect(findings(longFiles, '// x\n'.repeat(401))).toHaveLength(1);
    expect(findings(longFiles, '// x\n'.repeat(400))).toEqual([]);
    expect(findings(longLines, `// ${'x'.repeat(98)}`)).toHaveLength(1);
    expect(findings(longLines, `// ${'é'.repeat(97)}`)).toEqual([]);
  });

  it.each([
    `function a() {\n${LONG_BODY}}`,
    `class A {\n  *a() {\n${LONG_BODY}}\n}`,
    `const a = () => {\n${LONG_BODY}};`,
    `it('does', () => {\n${LONG_BODY}});`,
  ])('measures every kind of function', (text) => {
    expect(findings(longFunctions, text)).toHaveLength(1);
  });

  it('lets describe be as long as its tests are many', () => {
    expect(findings(longFunctions, `describe('a', () => {\n${LONG_BODY}});`)).toEqual([]);
    expect(findings(longFunctions, `describe.each([1])('a', () => {\n${LONG_BODY}});`)).toEqual([]);
  });
});

describe('form', () => {
  it.each<[Rule, string]>([
    [withoutOpeningComment, "import { a } from './a.ts';"],
    [defaultExports, 'export default 1;'],
    [defaultExports, 'const a = 1; export { a as default };'],
    [notErasable, 'enum A { B }'],
    [notErasable, 'namespace A { export const b = 1; }'],
    [notErasable, 'class A { constructor(readonly b: number) {} }'],
    [leftovers, 'debugger;'],
    [leftovers, 'console.log(1);'],
    [leftovers, 'let a: any;'],
    [leftovers, '// TODO: more'],
    [leftovers, "it.only('does', () => {});"],
  ])('%o refuses %s', (rule, text) => {
    expect(findings(rule, text)).toHaveLength(1);
  });

  it('wants every cited engine rule in the table', () => {
    const rule: Rule = (file) => unknownRules([file]);
    const unknown = 'Z9';
    expect(findings(rule, `// Starts over (ER-X2, ${unknown}).`)).toHaveLength(1);
    expect(findings(rule, '// Starts over (ER-X2, X3).')).toEqual([]);
  });

  it('wants kebab-case, and lets workloads have the names of selftests', () => {
    expect(findings(badNames, '', 'src/sync/ticketLock.ts')).toHaveLength(1);
    expect(findings(badNames, '', 'src/sync/ticket_lock.ts')).toHaveLength(1);
    expect(findings(badNames, '', 'workloads/dirty_log_perf_test.ts')).toEqual([]);
    expect(findings(badNames, '', 'test/unit/sync/ticket-lock.test.ts')).toEqual([]);
  });

  it('allows default exports to workers', () => {
    expect(findings(defaultExports, 'export default 1;', 'workers/a.ts')).toEqual([]);
  });
});

describe('the model', () => {
  it.each([
    'const a = Math.random();',
    'const a = Date.now();',
    'const a = new Date();',
    'const a = performance.now();',
    'const a = process.hrtime();',
    'const a = 1n;',
    'const a = new BigInt64Array(1);',
    'const a = Math.log(2);',
  ])('refuses %s', (text) => {
    expect(findings(outsideInfluences, text)).toHaveLength(1);
    expect(findings(outsideInfluences, text, 'src/run/a.ts')).toEqual([]);
  });

  it('knows members of the same name apart', () => {
    expect(findings(outsideInfluences, 'const a = row.Date + Math.floor(1);')).toEqual([]);
  });

  it.each([
    'let a = 0;',
    'export let a = 0;',
    'const a = new Map();',
    'export const a: number[] = [];',
  ])('refuses %s in a module', (text) => {
    expect(findings(moduleState, text)).toHaveLength(1);
    expect(findings(moduleState, `function f() { ${text.replace('export ', '')} }`)).toEqual([]);
  });
});
