/**
 * The last operations of each CPU, in the control words, so that the main thread can print them
 * when the CPU itself does not answer any more. A repeated attempt is one entry with a count.
 */

import type { NamedMemory } from '../../memory/boot.ts';
import { nameAddress } from '../../memory/symbols.ts';
import { Block, TRACE_ENTRIES, TRACE_WORDS } from './control.ts';

const OPERATIONS = [
  'load',
  'store',
  'cas',
  'swap',
  'add',
  'set',
  'clear',
  'cond',
  'condUntil',
  'zeroLine',
  'cleanInvalidate',
  'page',
  'fetch',
  'fence',
  'translate',
  'tlbi',
  'dsb',
  'ipi',
  'wake',
  'idle',
  'setRoot',
] as const;

export type OperationName = (typeof OPERATIONS)[number];

/** By name, as the CPU's attempts say what they are. */
export const Op = Object.fromEntries(OPERATIONS.map((name, index) => [name, index])) as Record<
  OperationName,
  number
>;

const OPERATION = 0;
const HI = 1;
const LO = 2;
const TIMES = 3;

/** Single writer: the CPU itself. Readers may see an entry half written, and only print it. */
export class Trace {
  readonly #words: Int32Array;
  readonly #block: number;
  #last: number;

  constructor(words: Int32Array, block: number) {
    this.#words = words;
    this.#block = block;
    this.#last = block + Block.Trace;
  }

  attempt(operation: number, hi: number, lo: number): void {
    const words = this.#words;
    const last = this.#last;
    const again =
      words[last + OPERATION] === operation && words[last + HI] === hi && words[last + LO] === lo;
    if (again && words[last + TIMES]! > 0) {
      words[last + TIMES]!++;
      return;
    }
    const next = words[this.#block + Block.TraceNext]!;
    const at = this.#block + Block.Trace + (next & (TRACE_ENTRIES - 1)) * TRACE_WORDS;
    words[at + OPERATION] = operation;
    words[at + HI] = hi;
    words[at + LO] = lo;
    words[at + TIMES] = 1;
    words[this.#block + Block.TraceNext] = (next + 1) | 0;
    this.#last = at;
  }
}

/** The last `count` operations, oldest first: "load kvm->mmu_lock x3, cond ...". */
export function traceText(
  words: Int32Array,
  block: number,
  count: number,
  symbols: readonly NamedMemory[],
): string {
  const next = words[block + Block.TraceNext]!;
  const texts: string[] = [];
  for (let i = Math.min(count, TRACE_ENTRIES); i > 0; i--) {
    const slot = (next - i) & (TRACE_ENTRIES - 1);
    const at = block + Block.Trace + slot * TRACE_WORDS;
    const times = words[at + TIMES]!;
    if (times === 0) continue;
    const name = OPERATIONS[words[at + OPERATION]!] ?? '?';
    const where = hasAddress(name)
      ? ` ${placeText(symbols, words[at + HI]!, words[at + LO]!)}`
      : '';
    texts.push(`${name}${where}${times > 1 ? ` x${times}` : ''}`);
  }
  return texts.join(', ');
}

function hasAddress(name: string): boolean {
  return !['fence', 'dsb', 'ipi', 'wake', 'idle', 'tlbi'].includes(name);
}

/** A linear-map address by the name of what is there, any other as it is. */
export function placeText(symbols: readonly NamedMemory[], hi: number, lo: number): string {
  if (hi >>> 16 === 0xffff) return nameAddress(symbols, hi & 0xffff, lo);
  return `${hi === 0 ? '' : `${(hi >>> 0).toString(16)}:`}${(lo >>> 0).toString(16)}`;
}
