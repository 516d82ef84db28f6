/** Memory attempts of the step engine's CPU. Sequentially consistent, one access per step. */

import { assert } from '../../src/base/assert.ts';
import type { Condition, Fence, Order } from '../../src/cpu/operations.ts';
import { Gate, holds, StepCpuCore } from './step-cpu-core.ts';

export abstract class StepCpuMemory extends StepCpuCore {
  load32(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.access('load32', 4, false, aHi, aLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.peekWord();
    this.hi = 0;
    return true;
  }

  load64(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.access('load64', 8, false, aHi, aLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.peekPair();
    return true;
  }

  store32(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.access('store32', 4, true, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.pokeWord(value);
    return true;
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.access('store64', 8, true, aHi, aLo, vHi, vLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.pokePair(vHi, vLo);
    return true;
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, order: Order): boolean {
    const gate = this.access('cas32', 4, true, aHi, aLo, expected, desired, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.peekWord();
    this.hi = 0;
    this.ok = this.lo === (expected | 0);
    if (this.ok) this.pokeWord(desired);
    return true;
  }

  cas64(
    aHi: number,
    aLo: number,
    eHi: number,
    eLo: number,
    dHi: number,
    dLo: number,
    order: Order,
  ): boolean {
    const gate = this.access('cas64', 8, true, aHi, aLo, eHi, eLo, dHi, dLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.peekPair();
    this.ok = this.lo === (eLo | 0) && this.hi === (eHi | 0);
    if (this.ok) this.pokePair(dHi, dLo);
    return true;
  }

  /** One 32-bit read-modify-write: stores change(old), result = old. */
  #modify(
    operation: string,
    aHi: number,
    aLo: number,
    value: number,
    order: Order,
    change: (old: number, value: number) => number,
  ): boolean {
    const gate = this.access(operation, 4, true, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.peekWord();
    this.hi = 0;
    this.pokeWord(change(this.lo, value) | 0);
    return true;
  }

  swap32(aHi: number, aLo: number, value: number, order: Order): boolean {
    return this.#modify('swap32', aHi, aLo, value, order, (_, fresh) => fresh);
  }

  add32(aHi: number, aLo: number, value: number, order: Order): boolean {
    return this.#modify('add32', aHi, aLo, value, order, (old, more) => old + more);
  }

  set32(aHi: number, aLo: number, bits: number, order: Order): boolean {
    return this.#modify('set32', aHi, aLo, bits, order, (old, mask) => old | mask);
  }

  clear32(aHi: number, aLo: number, bits: number, order: Order): boolean {
    return this.#modify('clear32', aHi, aLo, bits, order, (old, mask) => old & ~mask);
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.access('swap64', 8, true, aHi, aLo, vHi, vLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.peekPair();
    this.pokePair(vHi, vLo);
    return true;
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.access('add64', 8, true, aHi, aLo, vHi, vLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.peekPair();
    const low = (this.lo >>> 0) + (vLo >>> 0);
    this.pokePair((this.hi + vHi + (low >= 2 ** 32 ? 1 : 0)) | 0, low | 0);
    return true;
  }

  /** Stores the part of the word that `bits` wide at the address covers; returns the old part. */
  #part(bits: number, value: number): number {
    const shift = (this.paLo & 3) * 8;
    const mask = ((1 << bits) - 1) << shift;
    const word = this.peekWord();
    this.pokeWord((word & ~mask) | ((value << shift) & mask));
    return (word & mask) >>> shift;
  }

  load8(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.access('load8', 1, false, aHi, aLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = (this.peekWord() >>> ((aLo & 3) * 8)) & 0xff;
    this.hi = 0;
    return true;
  }

  store8(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.access('store8', 1, true, aHi, aLo, value, order);
    if (gate === Gate.Perform) this.#part(8, value);
    return gate !== Gate.Refuse;
  }

  store16(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.access('store16', 2, true, aHi, aLo, value, order);
    if (gate === Gate.Perform) this.#part(16, value);
    return gate !== Gate.Refuse;
  }

  swap16(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.access('swap16', 2, true, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.#part(16, value);
    this.hi = 0;
    return true;
  }

  cond32(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    order: Order,
  ): boolean {
    const announced = this.pending;
    const gate = this.access('cond32', 4, false, aHi, aLo, kind, mask, operand, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const value = this.peekWord();
    this.ok = holds(value, kind, mask, operand);
    if (!this.ok) {
      this.pending = announced;
      return false;
    }
    this.lo = value;
    this.hi = 0;
    return true;
  }

  cond32Until(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
    order: Order,
  ): boolean {
    const announced = this.pending;
    const operands = [aHi, aLo, kind, mask, operand, deadline, order];
    const gate = this.access('cond32Until', 4, false, ...operands);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const value = this.peekWord();
    this.ok = holds(value, kind, mask, operand);
    if (!this.ok && !this.expired(deadline)) {
      this.pending = announced;
      return false;
    }
    this.lo = value;
    this.hi = 0;
    return true;
  }

  zeroLine(aHi: number, aLo: number): boolean {
    const gate = this.access('zeroLine', 64, true, aHi, aLo);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    for (let i = 0; i < 64; i += 4) this.engine.memory.poke32(this.paHi, this.paLo + i, 0);
    return true;
  }

  cleanInvalidateLine(aHi: number, aLo: number): boolean {
    return this.access('cleanInvalidateLine', 64, false, aHi, aLo) !== Gate.Refuse;
  }

  cleanLineToPou(aHi: number, aLo: number): boolean {
    return this.access('cleanLineToPou', 1, false, aHi, aLo) !== Gate.Refuse;
  }

  #page(operation: string, write: boolean, aHi: number, aLo: number, ...rest: number[]): boolean {
    const gate = this.access(operation, 64, write, aHi, aLo, ...rest);
    if (gate === Gate.Perform) {
      const backed = this.engine.memory.isBacked(this.paHi, this.paLo);
      assert(!backed, `${operation} of a page with bytes`);
    }
    return gate !== Gate.Refuse;
  }

  zeroPage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#page('zeroPage', true, aHi, aLo, bytes);
  }

  copyPage(dHi: number, dLo: number, sHi: number, sLo: number, bytes: number): boolean {
    return this.#page('copyPage', true, dHi, dLo, sHi, sLo, bytes);
  }

  cleanInvalidatePage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#page('cleanInvalidatePage', false, aHi, aLo, bytes);
  }

  fetch(aHi: number, aLo: number): boolean {
    const announced = this.pending;
    const gate = this.gate('fetch', aHi, aLo);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    if (!this.resolve(aHi, aLo, false, true, announced!)) return false;
    this.lo = this.peekWord();
    this.hi = 0;
    return true;
  }

  fence(kind: Fence): boolean {
    return this.gate('fence', kind) !== Gate.Refuse;
  }
}
