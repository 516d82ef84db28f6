/**
 * The order in which locks are taken inside each other, by address, as lockdep keeps it by class
 * (kernel/locking/lockdep.c); an acquisition that only tries waits for nobody and adds nothing. A
 * circle in it may be a deadlock, or is not, if another lock or the program's phases keep its CPUs
 * apart: so it is information and never a violation.
 */

import { EventKind } from '../cpu/operations.ts';
import type { NamedMemory } from '../memory/boot.ts';
import type { Occurrence, Oracle } from './oracle.ts';
import { addressKey, Findings, nameOfAddress, Rule, Space } from './violation.ts';

interface LockNode {
  readonly hi: number;
  readonly lo: number;
  /** Locks that were taken while this one was held. */
  readonly inside: Set<number>;
}

export class LockOrder implements Oracle {
  readonly rule = Rule.LockOrder;
  readonly findings = new Findings();
  readonly #symbols: readonly NamedMemory[];
  readonly #locks = new Map<number, LockNode>();
  /** By CPU: what it holds, in the order of taking. */
  readonly #held = new Map<number, number[]>();
  /** CPUs whose next acquisition would not have waited. */
  readonly #tried = new Set<number>();
  #circle: readonly number[] = [];

  constructor(symbols: readonly NamedMemory[]) {
    this.#symbols = symbols;
  }

  event(o: Occurrence): void {
    if (o.kind === EventKind.LockAcquired || o.kind === EventKind.ReadLockAcquired) {
      this.#acquired(o);
    } else if (o.kind === EventKind.LockTried) {
      this.#tried.add(o.cpu);
    } else if (o.kind === EventKind.LockReleased || o.kind === EventKind.ReadLockReleased) {
      const held = this.#heldBy(o.cpu);
      const at = held.lastIndexOf(addressKey(o.hi, o.lo));
      if (at >= 0) held.splice(at, 1);
    }
  }

  #acquired(o: Occurrence): void {
    const key = addressKey(o.hi, o.lo);
    if (!this.#locks.has(key)) this.#locks.set(key, { hi: o.hi, lo: o.lo, inside: new Set() });
    const held = this.#heldBy(o.cpu);
    if (!this.#tried.delete(o.cpu)) {
      for (const outer of held) if (outer !== key) this.#locks.get(outer)!.inside.add(key);
    }
    held.push(key);
  }

  #heldBy(cpu: number): number[] {
    let held = this.#held.get(cpu);
    if (held === undefined) {
      held = [];
      this.#held.set(cpu, held);
    }
    return held;
  }

  finish(): void {
    this.#circle = this.#findCircle();
  }

  summary(): string {
    let orders = 0;
    for (const { inside } of this.#locks.values()) orders += inside.size;
    const counted = `${orders} pairs of locks were taken inside each other`;
    if (this.#circle.length === 0) return `${counted}, without a circle`;
    const names = this.#circle.map((key) => this.#nameOf(key));
    return `${counted}; a circle, which may be a deadlock: ${names.join(' -> ')}`;
  }

  #nameOf(key: number): string {
    const { hi, lo } = this.#locks.get(key)!;
    const name = nameOfAddress(Space.Virtual, hi, lo, this.#symbols);
    return name ?? `0x${(hi >>> 0).toString(16)}${(lo >>> 0).toString(16).padStart(8, '0')}`;
  }

  /** The first circle of a depth-first search, first lock repeated at the end; empty: none. */
  #findCircle(): readonly number[] {
    const done = new Set<number>();
    for (const start of this.#locks.keys()) {
      const path: number[] = [];
      const onPath = new Set<number>();
      const branches: Iterator<number>[] = [];
      const enter = (key: number): void => {
        path.push(key);
        onPath.add(key);
        branches.push(this.#locks.get(key)!.inside.values());
      };
      if (!done.has(start)) enter(start);
      while (branches.length > 0) {
        const next = branches[branches.length - 1]!.next();
        if (next.done === true) {
          branches.pop();
          const key = path.pop()!;
          onPath.delete(key);
          done.add(key);
        } else if (onPath.has(next.value)) {
          return [...path.slice(path.indexOf(next.value)), next.value];
        } else if (!done.has(next.value)) {
          enter(next.value);
        }
      }
    }
    return [];
  }
}
