/**
 * Reads what `numactl -H` prints. Node numbers may have holes (`available: 2 nodes (0,8)`), sizes
 * may be missing, distances may be absent; nodes are renumbered from 0 in the order of their
 * numbers.
 */

import { UserError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { CPUS_MAX, NODES_MAX } from './topology.ts';

const TEXT_MAX = 1024 * 1024;

export interface NumactlNode {
  /** As numactl numbers it. */
  readonly number: number;
  readonly cpus: readonly number[];
  readonly memoryBytes: number;
}

export interface Numactl {
  readonly nodes: readonly NumactlNode[];
  /** By position in `nodes`; undefined when the text has none. */
  readonly distances: readonly (readonly number[])[] | undefined;
}

function refuse(line: number, what: string, right: string): UserError {
  return new UserError(`numactl text, line ${line}: ${what}; would be right: ${right}`);
}

export function parseNumactl(text: string): Numactl {
  if (text.length > TEXT_MAX) throw new UserError('numactl text of more than 1 MiB');
  const cpusOf = new Map<number, number[]>();
  const bytesOf = new Map<number, number>();
  const rows = new Map<number, number[]>();
  let order: number[] = [];
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = index + 1;
    const words = raw.trim();
    const cpus = /^node (\d+) cpus:([\d ]*)$/.exec(words);
    const size = /^node (\d+) size: (?:(\d+) MB|<not available>)$/.exec(words);
    const header = /^node((?: +\d+)+)$/.exec(words);
    const row = /^(\d+):((?: *\d+)+)$/.exec(words);
    if (cpus !== null) cpusOf.set(Number(cpus[1]), numbers(cpus[2]!, line));
    else if (size !== null) bytesOf.set(Number(size[1]), Number(size[2] ?? 0) * MIB);
    else if (header !== null) order = numbers(header[1]!, line);
    else if (row !== null) rows.set(Number(row[1]), numbers(row[2]!, line));
    else if (!ignored(words)) {
      throw refuse(line, `can't read '${words.slice(0, 40)}'`, 'what numactl -H prints');
    }
  });
  if (cpusOf.size === 0) throw refuse(1, 'no nodes', 'what numactl -H prints');
  if (cpusOf.size > NODES_MAX) throw refuse(1, `${cpusOf.size} nodes`, `${NODES_MAX} at most`);
  const nodes = [...cpusOf.keys()]
    .sort((a, b) => a - b)
    .map((number) => ({
      number,
      cpus: cpusOf.get(number)!,
      memoryBytes: bytesOf.get(number) ?? 0,
    }));
  checkCpus(nodes);
  return { nodes, distances: distancesOf(nodes, order, rows) };
}

function ignored(words: string): boolean {
  return (
    words === '' ||
    /^available: \d+ nodes? \(.*\)$/.test(words) ||
    /^node \d+ free: /.test(words) ||
    /^node distances:$/.test(words) ||
    words === 'No distance information available.'
  );
}

function numbers(text: string, line: number): number[] {
  const found = text.trim() === '' ? [] : text.trim().split(/ +/).map(Number);
  const limit = CPUS_MAX - 1;
  for (const number of found) {
    if (number > limit) throw refuse(line, `number ${number}`, `${limit} at most`);
  }
  return found;
}

function checkCpus(nodes: readonly NumactlNode[]): void {
  const all = nodes.flatMap(({ cpus }) => cpus).sort((a, b) => a - b);
  all.forEach((cpu, index) => {
    if (cpu === index) return;
    const what = cpu < index ? `CPU ${cpu} is in two nodes` : `CPU ${index} is in no node`;
    throw new UserError(`numactl text: ${what}; would be right: CPUs 0 to N-1, all online`);
  });
}

function distancesOf(
  nodes: readonly NumactlNode[],
  order: readonly number[],
  rows: ReadonlyMap<number, readonly number[]>,
): number[][] | undefined {
  if (rows.size === 0) return undefined;
  return nodes.map(({ number: from }) => {
    const row = rows.get(from);
    return nodes.map(({ number: to }) => {
      const distance = row?.[order.indexOf(to)];
      if (distance !== undefined) return distance;
      throw new UserError(
        `numactl text: no distance from node ${from} to node ${to}; would be right: a full table`,
      );
    });
  });
}
