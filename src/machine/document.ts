/**
 * Text of a machine file to plain data, with the way back from a dotted parameter name to line and
 * column. YAML 1.2 is a superset of JSON, so one parser reads both. Hostile input ends in one line:
 * files over 1 MiB, aliases that explode, nesting without end, keys that appear twice.
 */

import { readFileSync, statSync } from 'node:fs';
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { UserError } from '../base/errors.ts';

const FILE_BYTES_MAX = 1024 * 1024;
const ALIASES_MAX = 100;
const DEPTH_MAX = 64;

export interface MachineDocument {
  readonly path: string;
  readonly data: unknown;
  /** "file.yaml:3:11" of a dotted name, as deep as the file goes; with `key`, of the key itself. */
  locate(dotted: string, key?: boolean): string;
}

export function readText(path: string): string {
  let bytes: Buffer;
  try {
    const stat = statSync(path);
    if (!stat.isFile())
      throw new UserError(`${path}: not a file; would be right: a YAML or JSON file`);
    if (stat.size > FILE_BYTES_MAX) {
      throw new UserError(`${path}: ${stat.size} bytes; would be right: 1 MiB at most`);
    }
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path}: ${reasonOf(error)}; would be right: a readable file`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${path}: not UTF-8 text; would be right: a YAML or JSON file`);
  }
}

export function parseMachineDocument(path: string, text: string): MachineDocument {
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  refuseDeepNesting(path, text);
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
  });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    const [what, right] = syntaxComplaint(problem);
    throw new UserError(`${at(problem.pos[0])}: ${what}; would be right: ${right}`);
  }
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    const place = at(firstBadAlias(document));
    throw new UserError(`${place}: ${oneLine(error.message)}; would be right: no aliases`);
  }
  const locate = (dotted: string, key = false) => at(offsetOf(document, dotted, key));
  return { path, data, locate };
}

/**
 * The composer recurses, and a stack overflow inside of it can end the whole process (V8 gives up
 * when it compiles a regular expression near the end of the stack). The parser below it keeps its
 * own stack, so it tells the depth without recursion.
 */
function refuseDeepNesting(path: string, text: string): void {
  const lines = new LineCounter();
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  for (const lexeme of new Lexer().lex(text)) {
    for (const _token of parser.next(lexeme)) {
      // Tokens are made again, with positions, when the document is parsed.
    }
    if (parser.stack.length <= DEPTH_MAX) continue;
    const { line, col } = lines.linePos(parser.offset);
    throw new UserError(`${path}:${line}:${col}: nested too deep; would be right: 4 levels`);
  }
}

function syntaxComplaint(problem: YAMLError): readonly [string, string] {
  const message = oneLine(problem.message);
  if (problem.code === 'DUPLICATE_KEY') return ['the same key twice', 'each key once'];
  if (problem.code === 'MULTIPLE_DOCS') return ['several documents', 'one per file'];
  return [message, 'YAML or JSON'];
}

/** The first alias that stands for nothing, or the first at all. */
function firstBadAlias(document: Document.Parsed): number {
  const offsets: number[] = [];
  visit(document, {
    Alias(_key, node) {
      const offset = node.range?.[0] ?? 0;
      if (node.resolve(document) === undefined) offsets.unshift(offset);
      else offsets.push(offset);
    },
  });
  return offsets[0] ?? 0;
}

/** Offset in the text of the deepest node that a dotted name reaches. */
function offsetOf(document: Document.Parsed, dotted: string, wantKey: boolean): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  const segments = dotted.split(/[.[\]]+/).filter((segment) => segment !== '');
  segments.forEach((segment, index) => {
    const last = index === segments.length - 1;
    let found = child(node, segment);
    if (found === undefined && isMap(node)) {
      found = child(child(node, 'value')?.value, segment);
    }
    if (found === undefined) {
      node = undefined;
      return;
    }
    node = found.value;
    const key = startOf(found.key);
    offset = (last && !wantKey ? startOf(node) : undefined) ?? key ?? startOf(node) ?? offset;
  });
  if (!wantKey && isMap(node)) offset = startOf(child(node, 'value')?.value) ?? offset;
  return offset;
}

function child(node: unknown, segment: string): { key: unknown; value: unknown } | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === segment);
    return pair === undefined ? undefined : { key: pair.key, value: pair.value };
  }
  if (isSeq(node) && /^\d+$/.test(segment) && Number(segment) < node.items.length) {
    return { key: undefined, value: node.items[Number(segment)] };
  }
  return undefined;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

function oneLine(message: string): string {
  const line = message.replace(/\s+/g, ' ').trim();
  return line.length > 160 ? `${line.slice(0, 157)}...` : line;
}

function reasonOf(error: unknown): string {
  const code = (error as { readonly code?: string }).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'not readable';
  return `can't be read (${code ?? String(error)})`;
}
