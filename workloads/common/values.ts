/**
 * Typed reading of resolved parameters. The table that parsed them guarantees the kinds; a wrong
 * kind here is a bug in a workload.
 */

import { assert } from '../../src/base/assert.ts';
import { UserError } from '../../src/base/errors.ts';
import type { Parameters } from '../../src/base/parameters.ts';
import { parseSize } from '../../src/base/parse-quantity.ts';
import type { Machine } from '../../src/machine/machine.ts';

/** '' = left to the machine and the other options. */
export function isUnset(parameters: Parameters, name: string): boolean {
  return parameters[name] === undefined || parameters[name] === '';
}

export function numberOf(parameters: Parameters, name: string): number {
  const value = parameters[name];
  assert(typeof value === 'number', `parameter ${name} is ${String(value)}, no number`);
  return value;
}

export function textOf(parameters: Parameters, name: string): string {
  const value = parameters[name];
  assert(typeof value === 'string', `parameter ${name} is ${String(value)}, no text`);
  return value;
}

export function flagOf(parameters: Parameters, name: string): boolean {
  const value = parameters[name];
  assert(typeof value === 'boolean', `parameter ${name} is ${String(value)}, no flag`);
  return value;
}

/** "16K,1M,256M" in growing order, each a multiple of `unit` bytes. */
export function parseSizes(name: string, text: string, unit: number, maximum: number): number[] {
  const sizes = text.split(',').map((part) => parseSize(name, part, { minimum: unit, maximum }));
  sizes.forEach((size, index) => {
    if (size % unit !== 0) {
      throw new UserError(`${name}: ${size} is not a multiple of ${unit} bytes`);
    }
    if (index > 0 && size <= sizes[index - 1]!) {
      throw new UserError(`${name}: '${text}' must grow from one size to the next`);
    }
  });
  return sizes;
}

/** Nodes that have memory: all of them, or those of a list "0,2". */
export function parseMemoryNodes(name: string, text: string, machine: Machine): number[] {
  const all = nodesWithMemory(machine);
  if (text === 'all') return all;
  return text.split(',').map((part) => {
    const node = /^\d+$/.test(part) ? Number(part) : -1;
    if (!all.includes(node)) {
      throw new UserError(
        `${name}: '${part}' is no node with memory of ${machine.name}; ` +
          `give all or a list of ${all.join(', ')}`,
      );
    }
    return node;
  });
}

export function nodesWithMemory(machine: Machine): number[] {
  return Array.from({ length: machine.nodeCount }, (_, node) => node).filter(
    (node) => machine.memoryBytesOfNode[node]! > 0,
  );
}
