/**
 * Machine files of the user's own: read, checked against the schema and resolved. Every complaint
 * is one line: `file.yaml:3:11: latency.dramLocal: expected ..., got ...; would be right: ...`.
 */

import { basename, extname } from 'node:path';
import type * as z from 'zod';
import { UserError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import { bundledProfile, machineNames } from './bundled.ts';
import { type MachineDocument, parseMachineDocument, readText } from './document.ts';
import type { Machine } from './machine.ts';
import { expectedOf, MACHINE_PARAMETERS, TOPOLOGY_PARAMETERS } from './parameter-table.ts';
import { type Profile, ProfileError, type RawProfile, toProfile } from './profile.ts';
import { resolveProfile } from './resolve.ts';
import { profileSchema } from './schema.ts';

export function loadUserMachine(path: string): Machine {
  return parseUserMachine(path, readText(path));
}

/** `path` is only for messages and for the machine's name. */
export function parseUserMachine(path: string, text: string): Machine {
  return withPlace(parseMachineDocument(path, text), resolveProfile);
}

/** The profile of a file that is known to resolve. */
export function loadUserProfile(path: string): Profile {
  return withPlace(parseMachineDocument(path, readText(path)), (profile) => {
    resolveProfile(profile);
    return profile;
  });
}

/** Does something with a document's profile; complaints get line and column. */
function withPlace<T>(document: MachineDocument, use: (profile: Profile) => T): T {
  const parsed = profileSchema().safeParse(document.data);
  if (!parsed.success) throw schemaComplaint(document, parsed.error.issues[0]!);
  const raw = document.data as RawProfile;
  const fallbackName = basename(document.path, extname(document.path));
  try {
    return use(toProfile(raw, fallbackName, baseOf(raw)));
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    throw new UserError(`${document.locate(error.parameter)}: ${error.message}`);
  }
}

function baseOf(raw: RawProfile): Profile | undefined {
  if (raw.base === undefined) return undefined;
  const name = raw.base.replaceAll('-', '_');
  const names = machineNames();
  if (names.includes(name)) return bundledProfile(name);
  throw new ProfileError(
    'base',
    `no bundled machine '${raw.base}'${didYouMean(raw.base, names)}; would be right: graviton4_2p`,
  );
}

type Issue = z.core.$ZodIssue;

function schemaComplaint(document: MachineDocument, issue: Issue): UserError {
  const path = issue.path.map(String);
  const given = valueAt(document.data, path);
  if (issue.code === 'invalid_union' && isPlainObject(given)) {
    // A value in full: what its own branch of the union says.
    const inner = issue.errors
      .flat()
      .toSorted((a, b) => Number(isUnknownKey(b)) - Number(isUnknownKey(a)))
      .find((each) => each.path.length > 0 || isUnknownKey(each));
    if (inner !== undefined) {
      return schemaComplaint(document, { ...inner, path: [...issue.path, ...inner.path] });
    }
  }
  if (issue.code === 'unrecognized_keys') return unknownKey(document, path, issue.keys[0]!);
  const dotted = dottedName(path);
  const where = `${document.locate(dotted)}: ${dotted === '' ? '' : `${dotted}: `}`;
  const got = `got ${describe(given)}`;
  const { expected, example } = expectation(path);
  return new UserError(`${where}expected ${expected}, ${got}; would be right: ${example}`);
}

function isUnknownKey(issue: Issue): boolean {
  return issue.code === 'unrecognized_keys';
}

function unknownKey(document: MachineDocument, path: string[], key: string): UserError {
  const dotted = dottedName([...path, key]);
  const known = knownKeys(path);
  const shown = known.length > 12 ? `${known.slice(0, 12).join(', ')}, ...` : known.join(', ');
  return new UserError(
    `${document.locate(dotted, true)}: ${dotted.slice(0, 80)}: unknown key` +
      `${didYouMean(key, known)}; would be right: ${shown}`,
  );
}

const FULL_KEYS = ['value', 'unit', 'source', 'confidence', 'note'];
const TOP_KEYS = ['name', 'description', 'architecture', 'base'];

function knownKeys(path: readonly string[]): string[] {
  const names = [...TOPOLOGY_PARAMETERS, ...MACHINE_PARAMETERS].map(({ name }) => name);
  const dotted = path.join('.');
  if (names.includes(dotted)) return FULL_KEYS;
  const prefix = dotted === '' ? '' : `${dotted}.`;
  const below = names
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length).split('.')[0]!);
  return [...new Set([...(dotted === '' ? TOP_KEYS : []), ...below])];
}

interface Expectation {
  readonly expected: string;
  readonly example: string;
}

const PLACES: Readonly<Record<string, Expectation>> = {
  '': { expected: 'a machine (keys and values)', example: 'base: graviton4_2p' },
  name: { expected: 'a name of letters, digits, _ . -', example: 'my_machine' },
  description: { expected: 'a line of text', example: 'two sockets of 64' },
  architecture: { expected: 'arm64 or x86', example: 'arm64' },
  base: { expected: 'the name of a bundled machine', example: 'graviton4_2p' },
  'topology.cpus': { expected: 'one cpulist per node', example: "['0-95', '96-191']" },
  'topology.sockets': { expected: 'the socket of each node', example: '[0, 1]' },
  'topology.clusterCpus': { expected: 'CPUs per cluster, 1 or more', example: '2' },
  'topology.dieCpus': { expected: 'CPUs per die, 1 or more', example: '8' },
  'topology.memory': { expected: 'a size per node', example: "['64G', '64G']" },
  'topology.distances': { expected: 'rows of numbers', example: '[[10, 20], [20, 10]]' },
  'latency.dramMatrix': { expected: 'rows of ns above 0', example: '[[114, 257], [257, 114]]' },
};

function expectation(path: readonly string[]): Expectation {
  const last = path.at(-1);
  const owner = path.slice(0, -1).join('.');
  const isParameter = (name: string) =>
    MACHINE_PARAMETERS.some((row) => row.name === name) || name in PLACES;
  if (last !== undefined && owner !== '' && isParameter(owner)) {
    if (last === 'value') return expectation(path.slice(0, -1));
    if (last === 'confidence') {
      return { expected: 'published, derived or estimate', example: 'estimate' };
    }
    if (FULL_KEYS.includes(last)) return { expected: 'a line of text', example: 'data sheet' };
  }
  for (let depth = path.length; depth >= 0; depth--) {
    const name = path.slice(0, depth).join('.');
    const place = PLACES[name];
    if (place !== undefined && (name !== '' || path.length === 0)) return place;
    const row = MACHINE_PARAMETERS.find((parameter) => parameter.name === name);
    if (row === undefined) continue;
    return { expected: expectedOf(row), example: row.example };
  }
  const keys = knownKeys(path);
  return { expected: `a section of ${keys.join(', ')}`, example: `${keys[0] ?? 'name'}: ...` };
}

/** `topology.distances[0][1]` from path segments; the word `value` is no part of a name. */
function dottedName(path: readonly string[]): string {
  return path
    .filter((segment, index) => segment !== 'value' || index === 0)
    .reduce((name, key) => (/^\d+$/.test(key) ? `${name}[${key}]` : joined(name, key)), '');
}

function joined(name: string, key: string): string {
  return name === '' ? key : `${name}.${key}`;
}

function valueAt(data: unknown, path: readonly string[]): unknown {
  let value = data;
  for (const key of path) {
    if (value === null || typeof value !== 'object') return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a section';
  const text = String(value).replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
  const quoted = typeof value === 'string' ? `'${text}'` : text;
  return quoted.length > 60 ? `${quoted.slice(0, 57)}...` : quoted;
}
