/**
 * The project as the tidy tests read it: every TypeScript file with its syntax tree, lines and
 * imports. The tree is that of vitest's own parser, so that no further dependency is needed.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'vitest/node';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A node of an ESTree; children are found by walking over all values. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path from the root, for relative ones; null: a package or a module of Node. */
  readonly path: string | null;
  readonly typeOnly: boolean;
  readonly line: number;
}

export interface SourceFile {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly tree: SyntaxNode;
  readonly imports: readonly Import[];
  lineOf(offset: number): number;
}

const FOLDERS = ['src', 'workers', 'workloads', 'test'];

/** Every path below a folder, relative to the root, in a fixed order. */
export function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();
}

export function readProject(): SourceFile[] {
  return FOLDERS.flatMap(filesBelow)
    .filter((path) => path.endsWith('.ts'))
    .map((path) => parseSource(path, readFileSync(join(ROOT, path), 'utf8')));
}

export function parseSource(path: string, text: string): SourceFile {
  const tree = parseAst(text, { lang: 'ts' }, path) as unknown as SyntaxNode;
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const lineOf = (offset: number): number => {
    let line = 0;
    let step = 2 ** Math.ceil(Math.log2(starts.length + 1));
    for (; step >= 1; step /= 2) {
      if (line + step < starts.length && starts[line + step]! <= offset) line += step;
    }
    return line + 1;
  };
  const imports = importsOf(path, tree, lineOf);
  return { path, text, lines: text.split('\n'), tree, imports, lineOf };
}

/** Calls `visit` for every node, parents first; `parents` ends with the direct parent. */
export function walk(
  root: SyntaxNode,
  visit: (node: SyntaxNode, parents: readonly SyntaxNode[]) => void,
): void {
  const parents: SyntaxNode[] = [];
  const enter = (node: SyntaxNode): void => {
    visit(node, parents);
    parents.push(node);
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) enter(child);
    }
    parents.pop();
  };
  enter(root);
}

export function isNode(value: unknown): value is SyntaxNode {
  return (
    typeof value === 'object' && value !== null && typeof Reflect.get(value, 'type') === 'string'
  );
}

const IMPORTING = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]);

function importsOf(path: string, tree: SyntaxNode, lineOf: (offset: number) => number): Import[] {
  const imports: Import[] = [];
  walk(tree, (node) => {
    if (!IMPORTING.has(node.type)) return;
    const source = node['source'] ?? node['argument'];
    if (!isNode(source) || typeof source['value'] !== 'string') return;
    const specifier = source['value'];
    const local = specifier.startsWith('.');
    imports.push({
      specifier,
      path: local ? join(dirname(path), specifier).replaceAll('\\', '/') : null,
      typeOnly: [node['importKind'], node['exportKind']].includes('type'),
      line: lineOf(node.start),
    });
  });
  return imports;
}
