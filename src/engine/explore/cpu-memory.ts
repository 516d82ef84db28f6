/**
 * Memory attempts of a CPU of the explore engine: one access per step, sequentially consistent or
 * through the store buffer (tso: every load acquires and every store releases; an atomic, a store
 * with Order.SequentiallyConsistent and a full fence wait for the buffer to drain, which is how
 * compilers map C11 and the kernel's barriers to x86).
 */

import { type Condition, conditionHolds, Fence as FenceKind, Order } from '../../cpu/operations.ts';
import { Op } from './attempts.ts';
import { ExploreCpuGate, Gate } from './cpu-gate.ts';

type Fence = FenceKind;

export abstract class ExploreCpuMemory extends ExploreCpuGate {
  #read(bytes: number): void {
    const { observer } = this.world;
    if (this.translated) this.noteTranslation(false);
    if (observer !== null) observer.read?.(this.id, this.paHi, this.paLo, bytes);
  }

  /** The bits of `mask` in the word become those of `value`, at once or by way of the buffer. */
  #store(mask: number, value: number, valueHi: number, bytes: number): void {
    if (this.translated) this.noteTranslation(true);
    if (this.tso && this.order !== Order.SequentiallyConsistent) {
      const hasBytes = this.word < this.memory.nowhere;
      this.buffer.push(
        this.word,
        hasBytes ? mask : 0,
        value,
        hasBytes ? valueHi : 0,
        this.paHi,
        this.paLo,
        bytes,
      );
      this.world.updateDrain(this.id);
    } else if (bytes === 8) {
      this.#commit64(valueHi, value);
    } else {
      this.#commit((this.memory.words[this.word]! & ~mask) | (value & mask), bytes);
    }
  }

  #commit(value: number, bytes: number): void {
    const { memory, word } = this;
    const old = memory.words[word]!;
    memory.write(word, value);
    const { observer } = this.world;
    if (observer !== null) observer.wrote?.(this.id, this.paHi, this.paLo, bytes, old, 0);
  }

  #commit64(hi: number, lo: number): void {
    const { memory, word } = this;
    const oldLo = memory.words[word]!;
    const oldHi = memory.words[word + 1]!;
    memory.write64(word, hi, lo);
    const { observer } = this.world;
    if (observer !== null) observer.wrote?.(this.id, this.paHi, this.paLo, 8, oldLo, oldHi);
  }

  /** An access through a translation is performed. */
  protected abstract noteTranslation(write: boolean): void;

  load32(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.gate(Op.Load32, aHi, aLo, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.visible(this.word);
    this.hi = 0;
    this.#read(4);
    return true;
  }

  load64(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.gate(Op.Load64, aHi, aLo, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.visible(this.word);
    this.hi = this.visible(this.word + 1);
    this.#read(8);
    return true;
  }

  store32(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.gate(Op.Store32, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#store(-1, value, 0, 4);
    return true;
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.gateWide(Op.Store64, aHi, aLo, vHi, vLo, 0, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#store(-1, vLo, vHi, 8);
    return true;
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, order: Order): boolean {
    const gate = this.gateWide(Op.Cas32, aHi, aLo, expected, desired, 0, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.memory.words[this.word]!;
    this.hi = 0;
    this.ok = this.lo === (expected | 0);
    this.#updated(4);
    if (this.ok) this.#commit(desired, 4);
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
    const gate = this.gateWide(Op.Cas64, aHi, aLo, eHi, eLo, dHi, dLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#loadPair();
    this.ok = this.lo === (eLo | 0) && this.hi === (eHi | 0);
    this.#updated(8);
    if (this.ok) this.#commit64(dHi, dLo);
    return true;
  }

  #loadPair(): void {
    this.lo = this.memory.words[this.word]!;
    this.hi = this.memory.words[this.word + 1]!;
  }

  /** An atomic read its word; it is the lock that a queue's waiter is after. */
  #updated(bytes: number): void {
    this.lastUpdate = this.word;
    if (this.translated) this.noteTranslation(true);
    const { observer } = this.world;
    if (observer !== null) observer.read?.(this.id, this.paHi, this.paLo, bytes);
  }

  swap32(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.gate(Op.Swap32, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#modify(value);
    return true;
  }

  add32(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.gate(Op.Add32, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#modify((this.memory.words[this.word]! + value) | 0);
    return true;
  }

  set32(aHi: number, aLo: number, bits: number, order: Order): boolean {
    const gate = this.gate(Op.Set32, aHi, aLo, bits, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#modify(this.memory.words[this.word]! | bits);
    return true;
  }

  clear32(aHi: number, aLo: number, bits: number, order: Order): boolean {
    const gate = this.gate(Op.Clear32, aHi, aLo, bits, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#modify(this.memory.words[this.word]! & ~bits);
    return true;
  }

  /** Result: the old word. */
  #modify(fresh: number): void {
    this.lo = this.memory.words[this.word]!;
    this.hi = 0;
    this.#updated(4);
    this.#commit(fresh, 4);
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.gateWide(Op.Swap64, aHi, aLo, vHi, vLo, 0, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#loadPair();
    this.#updated(8);
    this.#commit64(vHi, vLo);
    return true;
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.gateWide(Op.Add64, aHi, aLo, vHi, vLo, 0, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#loadPair();
    this.#updated(8);
    const low = (this.lo >>> 0) + (vLo >>> 0);
    this.#commit64((this.hi + vHi + (low >= 2 ** 32 ? 1 : 0)) | 0, low | 0);
    return true;
  }

  load8(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.gate(Op.Load8, aHi, aLo, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = (this.visible(this.word) >>> ((this.paLo & 3) * 8)) & 0xff;
    this.hi = 0;
    this.#read(1);
    return true;
  }

  store8(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.gate(Op.Store8, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const shift = (this.paLo & 3) * 8;
    this.#store(0xff << shift, value << shift, 0, 1);
    return true;
  }

  store16(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.gate(Op.Store16, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const shift = (this.paLo & 3) * 8;
    this.#store(0xffff << shift, value << shift, 0, 2);
    return true;
  }

  swap16(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.gate(Op.Swap16, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const shift = (this.paLo & 3) * 8;
    const mask = 0xffff << shift;
    const old = this.memory.words[this.word]!;
    this.lo = (old & mask) >>> shift;
    this.hi = 0;
    this.#updated(2);
    this.#commit((old & ~mask) | ((value << shift) & mask), 2);
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
    const gate = this.gateWide(Op.Cond32, aHi, aLo, kind, mask, operand, 0, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.visible(this.word);
    this.hi = 0;
    this.ok = true;
    this.#read(4);
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
    const gate = this.gateWide(Op.Cond32Until, aHi, aLo, kind, mask, operand, deadline, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.visible(this.word);
    this.hi = 0;
    this.ok = conditionHolds(this.lo, kind, mask, operand);
    if (!this.ok) this.expire(deadline);
    this.#read(4);
    return true;
  }

  /** From now on the deadline has passed. */
  protected abstract expire(deadline: number): void;

  zeroLine(aHi: number, aLo: number): boolean {
    const gate = this.gate(Op.ZeroLine, aHi, aLo, 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#updated(64);
    const old = this.memory.words[this.word]!;
    this.memory.writeLine(this.word, 0);
    const { observer } = this.world;
    if (observer !== null) observer.wrote?.(this.id, this.paHi, this.paLo, 64, old, 0);
    return true;
  }

  cleanInvalidateLine(aHi: number, aLo: number): boolean {
    const gate = this.gate(Op.CleanInvalidateLine, aHi, aLo, 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    if (this.translated) this.noteTranslation(false);
    this.world.text?.clean(this.id, this.word);
    return true;
  }

  #page(op: Op, write: boolean, aHi: number, aLo: number, x0: number, x1: number, x2: number) {
    const gate = this.gateWide(op, aHi, aLo, x0, x1, x2, 0, 0);
    if (gate === Gate.Perform) {
      if (this.word < this.memory.nowhere) this.fault('works on a whole page that has bytes');
      if (this.translated) this.noteTranslation(write);
    }
    return gate !== Gate.Refuse;
  }

  zeroPage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#page(Op.ZeroPage, true, aHi, aLo, bytes, 0, 0);
  }

  copyPage(dHi: number, dLo: number, sHi: number, sLo: number, bytes: number): boolean {
    return this.#page(Op.CopyPage, true, dHi, dLo, sHi, sLo, bytes);
  }

  cleanInvalidatePage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#page(Op.CleanInvalidatePage, false, aHi, aLo, bytes, 0, 0);
  }

  cleanLineToPou(aHi: number, aLo: number): boolean {
    const gate = this.gate(Op.CleanLineToPou, aHi, aLo & ~63, 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    if (this.translated) this.noteTranslation(false);
    this.world.text?.clean(this.id, this.word);
    return true;
  }

  /** Of declared text, any content that the CPU may still execute: the scheduler's choice. */
  fetch(aHi: number, aLo: number): boolean {
    const gate = this.gate(Op.Fetch, aHi, aLo & ~3, 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const { text, observer } = this.world;
    this.hi = 0;
    this.#read(4);
    if (text === null || !text.holds(this.word)) {
      this.lo = this.memory.words[this.word]!;
      return true;
    }
    const count = text.choices(this.id, this.word);
    const older = count > 1 ? this.world.chooseValue(count) : 0;
    const version = text.newest(this.word) - older;
    this.lo = text.wordOf(this.word, version);
    observer?.fetched?.(this.id, this.paHi, this.paLo, version);
    return true;
  }

  fence(kind: Fence): boolean {
    const gate = this.gate(Op.Fence, kind, 0, 0, 0);
    if (gate === Gate.Perform && kind === FenceKind.Isb) this.world.text?.synchronise(this.id);
    return gate !== Gate.Refuse;
  }
}
