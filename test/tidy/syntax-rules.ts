/** Rules on one file's syntax tree. Each returns lines `path:line: what is wrong`. */

import { isNode, type SourceFile, type SyntaxNode, walk } from './project.ts';
import { roomOf } from './rooms.ts';

const FUNCTION_LINES_MAX = 69;
const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

/** Bodies of describe() group tests: their length is the number of tests. */
export function longFunctions(file: SourceFile): string[] {
  return collect(file, (node, parents) => {
    if (!FUNCTIONS.has(node.type)) return null;
    const lines = file.lineOf(node.end) - file.lineOf(node.start) + 1;
    if (lines <= FUNCTION_LINES_MAX || isDescribe(parents.at(-1))) return null;
    return `function of ${lines} lines (at most ${FUNCTION_LINES_MAX})`;
  });
}

function isDescribe(parent: SyntaxNode | undefined): boolean {
  if (parent?.type !== 'CallExpression') return false;
  let callee = parent['callee'];
  while (isNode(callee) && callee.type !== 'Identifier')
    callee = callee['callee'] ?? callee['object'];
  return isNode(callee) && callee['name'] === 'describe';
}

/** Piscina loads the default export of a worker; vitest that of its configuration. */
export function defaultExports(file: SourceFile): string[] {
  if (file.path.startsWith('workers/')) return [];
  return collect(file, (node) => {
    if (node.type === 'ExportDefaultDeclaration') return 'default export';
    const exported = node.type === 'ExportSpecifier' ? node['exported'] : null;
    return isNode(exported) && exported['name'] === 'default' ? 'default export' : null;
  });
}

const NOT_ERASABLE: Readonly<Record<string, string>> = {
  TSEnumDeclaration: 'enum',
  TSModuleDeclaration: 'namespace',
  TSParameterProperty: 'parameter property',
  TSExportAssignment: 'export =',
  TSImportEqualsDeclaration: 'import =',
};

export function notErasable(file: SourceFile): string[] {
  return collect(file, (node) => NOT_ERASABLE[node.type] ?? null);
}

/** Rooms whose results must be functions of the specification and the seed alone. */
const MODEL_ROOMS = new Set([
  'base',
  'machine',
  'memory',
  'cache',
  'translation',
  'cpu',
  'sync',
  'kernel',
  'workloads',
  'engine',
  'checkers',
  'metrics',
]);

/** Files of the model that look at the wall clock, and what for. */
const WALL_CLOCK: Readonly<Record<string, string>> = {
  'src/engine/virtual/run-worker.ts': 'how often to report progress',
  'src/engine/virtual/patience.ts': 'how long to spin before sleeping',
};

/** Files outside the host engine that use BigInt, and what for. */
const BIG_INT_FILES: Readonly<Record<string, string>> = {
  'src/base/parse-quantity.ts': "a user's digits beyond 2^53, before anything runs",
};

export function outsideInfluences(file: SourceFile): string[] {
  const room = roomOf(file.path);
  if (room === null || !MODEL_ROOMS.has(room)) return [];
  const host = file.path.startsWith('src/engine/host/');
  return collect(file, (node, parents) => {
    const name = influence(node, parents.at(-1));
    if (name === null) return null;
    if (name === 'BigInt')
      return host || file.path in BIG_INT_FILES ? null : 'BigInt outside the host engine';
    const clock = name.startsWith('performance') || name.startsWith('Date');
    if (clock && (host || file.path in WALL_CLOCK)) return null;
    return `${name} in the model`;
  });
}

const BIG_INT = new Set(['BigInt', 'BigInt64Array', 'BigUint64Array']);
/** Last bits of these may differ between JavaScript engines. */
const INEXACT = new Set([
  'log',
  'log10',
  'log1p',
  'exp',
  'expm1',
  'pow',
  'sin',
  'cos',
  'tan',
  'cbrt',
]);

function influence(node: SyntaxNode, parent: SyntaxNode | undefined): string | null {
  if (node.type === 'Literal' && typeof node['bigint'] === 'string') return 'BigInt';
  if (node.type === 'Identifier' && !isMemberName(node, parent)) {
    const name = node['name'] as string;
    if (BIG_INT.has(name)) return 'BigInt';
    if (name === 'Date') return 'Date';
  }
  if (node.type !== 'MemberExpression') return null;
  const object = node['object'];
  const property = node['property'];
  if (!isNode(object) || !isNode(property)) return null;
  const [owner, member] = [object['name'], property['name'] as string];
  if (owner === 'Math' && (member === 'random' || INEXACT.has(member))) return `Math.${member}`;
  if (owner === 'performance') return `performance.${member}`;
  if (owner === 'process' && member === 'hrtime') return 'performance (process.hrtime)';
  if (owner === 'crypto') return `crypto.${member}`;
  return null;
}

function isMemberName(node: SyntaxNode, parent: SyntaxNode | undefined): boolean {
  return parent?.type === 'MemberExpression' && parent['property'] === node && !parent['computed'];
}

/** Whatever two CPUs can both see is emulated memory: no variable, no container that fills up. */
export function moduleState(file: SourceFile): string[] {
  const room = roomOf(file.path);
  if (room === null || !MODEL_ROOMS.has(room)) return [];
  const found: string[] = [];
  for (const statement of file.tree['body'] as SyntaxNode[]) {
    const declaration = statement['declaration'] ?? statement;
    if (!isNode(declaration) || declaration.type !== 'VariableDeclaration') continue;
    const where = `${file.path}:${file.lineOf(statement.start)}`;
    if (declaration['kind'] !== 'const')
      found.push(`${where}: ${declaration['kind']} of the module`);
    for (const { init } of declaration['declarations'] as { init: unknown }[]) {
      if (isNode(init) && startsEmpty(init)) found.push(`${where}: container that is filled later`);
    }
  }
  return found;
}

const CONTAINERS = new Set(['Map', 'Set', 'WeakMap', 'WeakSet']);

function startsEmpty(init: SyntaxNode): boolean {
  if (init.type === 'ArrayExpression') return (init['elements'] as unknown[]).length === 0;
  if (init.type !== 'NewExpression' || !isNode(init['callee'])) return false;
  const empty = (init['arguments'] as unknown[]).length === 0;
  return empty && CONTAINERS.has(init['callee']['name'] as string);
}

/** Results go through commands/terminal.ts; everything else of a console is a leftover. */
const SPEAKS = new Set(['src/commands/terminal.ts', 'src/run/progress.ts']);

export function leftovers(file: SourceFile): string[] {
  const own = file.path.startsWith('test/tidy/');
  const found = collect(file, (node) => {
    if (node.type === 'DebuggerStatement') return 'debugger';
    if (node.type === 'TSAnyKeyword') return 'any';
    if (node.type !== 'MemberExpression' || !isNode(node['object']) || !isNode(node['property']))
      return null;
    const [object, property] = [node['object']['name'], node['property']['name']];
    if (object === 'console' && !file.path.startsWith('test/') && !SPEAKS.has(file.path))
      return `console.${property}`;
    const test = object === 'it' || object === 'test' || object === 'describe';
    return test && (property === 'only' || property === 'skip') ? `${object}.${property}` : null;
  });
  if (own) return found;
  file.lines.forEach((line, index) => {
    const marker = /\b(TODO|FIXME|XXX|HACK|WIP)\b|@ts-(ignore|nocheck)/.exec(line);
    if (marker !== null) found.push(`${file.path}:${index + 1}: ${marker[0]}`);
  });
  return found;
}

function collect(
  file: SourceFile,
  judge: (node: SyntaxNode, parents: readonly SyntaxNode[]) => string | null,
): string[] {
  const found: string[] = [];
  walk(file.tree, (node, parents) => {
    const wrong = judge(node, parents);
    if (wrong !== null) found.push(`${file.path}:${file.lineOf(node.start)}: ${wrong}`);
  });
  return found;
}
