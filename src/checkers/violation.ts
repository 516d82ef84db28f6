/**
 * What the checkers report: the rules they hold, a violation of one, and the address that it is
 * about. A violation is plain data, found by one CPU's watch or by a replay of all CPUs' logs.
 */

import type { NamedMemory } from '../memory/boot.ts';
import { LINEAR_MAP_HI } from '../memory/physical-address.ts';

/** One name per oracle; what each promises is the text beside it in a result. */
export const Rule = {
  Translations: 'translations',
  BreakBeforeMake: 'break-before-make',
  FreedFrames: 'freed-frames',
  TablePages: 'table-pages',
  Frames: 'frames',
  Locks: 'locks',
  LockOrder: 'lock-order',
  DirtyLog: 'dirty-log',
  StaleText: 'stale-text',
  WriteXorExecute: 'w^x',
} as const;
export type Rule = (typeof Rule)[keyof typeof Rule];

/** What an address of a violation is. */
export const Space = { Physical: 'physical', Virtual: 'virtual', Ipa: 'IPA' } as const;
export type Space = (typeof Space)[keyof typeof Space];

export interface Violation {
  readonly rule: Rule;
  readonly timePs: number;
  /** The CPU that broke the rule first, then those concerned. */
  readonly cpus: readonly number[];
  /** What happened, without CPUs, address and time. */
  readonly text: string;
  readonly space: Space;
  readonly hi: number;
  readonly lo: number;
}

/** "CPU 1 at 250.4 ns: uses a translation ... (physical 0x..., counter)". */
export function describeViolation(violation: Violation, symbols: readonly NamedMemory[]): string {
  const { cpus, timePs, text, space, hi, lo } = violation;
  const [first, ...others] = cpus;
  const where = `${space} 0x${hexOf(hi, lo)}${nameSuffix(space, hi, lo, symbols)}`;
  const concerned = others.length === 0 ? '' : `; with CPU ${others.join(', ')}`;
  return `CPU ${first} at ${timePs / 1000} ns: ${text} (${where}${concerned})`;
}

function nameSuffix(space: Space, hi: number, lo: number, symbols: readonly NamedMemory[]): string {
  const name = nameOfAddress(space, hi, lo, symbols);
  return name === null ? '' : `, ${name}`;
}

/** Name of a linear-map or physical address, with the offset inside; null = nobody named it. */
export function nameOfAddress(
  space: Space,
  hi: number,
  lo: number,
  symbols: readonly NamedMemory[],
): string | null {
  if (space === Space.Ipa) return null;
  if (space === Space.Virtual && (hi & LINEAR_MAP_HI) !== LINEAR_MAP_HI) return null;
  const paHi = hi & 0xffff;
  let best: NamedMemory | null = null;
  for (const symbol of symbols) {
    const offset = (lo >>> 0) - (symbol.address.lo >>> 0);
    if (symbol.address.hi !== paHi || offset < 0 || offset >= symbol.bytes) continue;
    if (best === null || symbol.bytes < best.bytes) best = symbol;
  }
  if (best === null) return null;
  const offset = (lo >>> 0) - (best.address.lo >>> 0);
  return offset === 0 ? best.name : `${best.name}+${offset}`;
}

function hexOf(hi: number, lo: number): string {
  const digits = [hi, lo].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  return digits.replace(/^0+(?=.)/, '');
}

/** Collects violations of one rule; a broken loop reports each kind once, not a million times. */
export class Findings {
  readonly violations: Violation[] = [];
  /** Including those not kept. */
  count = 0;
  readonly #seen = new Set<string>();

  add(violation: Violation): void {
    this.count++;
    const key = `${violation.text}|${violation.hi}|${violation.lo}|${violation.cpus[0]}`;
    if (this.#seen.has(key) || this.violations.length >= VIOLATIONS_MAX) return;
    this.#seen.add(key);
    this.violations.push(violation);
  }
}

const VIOLATIONS_MAX = 50;

/** A page or lock address as one exact number, for maps: 48 bits and which half of the space. */
export function addressKey(hi: number, lo: number): number {
  return (hi & 0xffff) * 0x1_0000_0000 + (lo >>> 0) + (hi < 0 ? 0x1_0000_0000_0000 : 0);
}
