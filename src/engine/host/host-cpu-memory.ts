/**
 * Memory attempts of the host engine's CPU: real atomics of one worker thread, performed at once
 * unless an interrupt is due or the address faults. Waiting for a word is in
 * host-cpu-condition.ts.
 */

import type { Fence, Order } from '../../cpu/operations.ts';
import { HostCpuTranslation } from './host-cpu-translation.ts';
import { RIGHT } from './host-walk.ts';
import { Op } from './trace.ts';

const LINE_BYTES = 64;

export abstract class HostCpuMemory extends HostCpuTranslation {
  protected result(value: number): true {
    this.lo = value;
    this.hi = 0;
    return true;
  }

  #wideResult(): true {
    this.lo = this.memory.lo;
    this.hi = this.memory.hi;
    return true;
  }

  /** The word has changed: wake who waits for it. */
  #stored(): true {
    this.bell.announce(this.paHi, this.paLo);
    return true;
  }

  load32(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.reach(Op.load, aHi, aLo, RIGHT.Read)) return this.refused();
    return this.result(this.memory.load32(this.paHi, this.paLo));
  }

  load64(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.reach(Op.load, aHi, aLo, RIGHT.Read)) return this.refused();
    this.memory.load64(this.paHi, this.paLo);
    return this.#wideResult();
  }

  load8(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.reach(Op.load, aHi, aLo, RIGHT.Read)) return this.refused();
    const word = this.memory.load32(this.paHi, this.paLo & ~3);
    return this.result((word >>> ((this.paLo & 3) * 8)) & 0xff);
  }

  store32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.reach(Op.store, aHi, aLo, RIGHT.Write)) return this.refused();
    this.memory.store32(this.paHi, this.paLo, value);
    return this.#stored();
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.reach(Op.store, aHi, aLo, RIGHT.Write)) return this.refused();
    this.memory.store64(this.paHi, this.paLo, vHi, vLo);
    return this.#stored();
  }

  store8(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.reach(Op.store, aHi, aLo, RIGHT.Write)) return this.refused();
    this.memory.exchangePart(this.paHi, this.paLo, 8, value);
    return this.#stored();
  }

  store16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.reach(Op.store, aHi, aLo, RIGHT.Write)) return this.refused();
    this.memory.exchangePart(this.paHi, this.paLo, 16, value);
    return this.#stored();
  }

  swap16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.reach(Op.swap, aHi, aLo, RIGHT.Write)) return this.refused();
    this.result(this.memory.exchangePart(this.paHi, this.paLo, 16, value));
    return this.#stored();
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, _order: Order): boolean {
    if (!this.reach(Op.cas, aHi, aLo, RIGHT.Write)) return this.refused();
    this.result(this.memory.compareExchange32(this.paHi, this.paLo, expected, desired));
    this.ok = this.lo === (expected | 0);
    return this.ok ? this.#stored() : true;
  }

  cas64(
    aHi: number,
    aLo: number,
    eHi: number,
    eLo: number,
    dHi: number,
    dLo: number,
    _order: Order,
  ): boolean {
    if (!this.reach(Op.cas, aHi, aLo, RIGHT.Write)) return this.refused();
    this.memory.compareExchange64(this.paHi, this.paLo, eHi, eLo, dHi, dLo);
    this.#wideResult();
    this.ok = this.lo === (eLo | 0) && this.hi === (eHi | 0);
    return this.ok ? this.#stored() : true;
  }

  swap32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.reach(Op.swap, aHi, aLo, RIGHT.Write)) return this.refused();
    this.result(this.memory.exchange32(this.paHi, this.paLo, value));
    return this.#stored();
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.reach(Op.swap, aHi, aLo, RIGHT.Write)) return this.refused();
    this.memory.exchange64(this.paHi, this.paLo, vHi, vLo);
    this.#wideResult();
    return this.#stored();
  }

  add32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.reach(Op.add, aHi, aLo, RIGHT.Write)) return this.refused();
    this.result(this.memory.add32(this.paHi, this.paLo, value));
    return this.#stored();
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.reach(Op.add, aHi, aLo, RIGHT.Write)) return this.refused();
    this.memory.add64(this.paHi, this.paLo, vHi, vLo);
    this.#wideResult();
    return this.#stored();
  }

  set32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.reach(Op.set, aHi, aLo, RIGHT.Write)) return this.refused();
    this.result(this.memory.or32(this.paHi, this.paLo, bits));
    return this.#stored();
  }

  clear32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.reach(Op.clear, aHi, aLo, RIGHT.Write)) return this.refused();
    this.result(this.memory.and32(this.paHi, this.paLo, ~bits));
    return this.#stored();
  }

  // ---- lines and pages ------------------------------------------------------------------------

  /** Word by word: a line is not single-copy atomic on hardware either. */
  zeroLine(aHi: number, aLo: number): boolean {
    if (!this.reach(Op.zeroLine, aHi, aLo, RIGHT.Write)) return this.refused();
    this.paLo &= -LINE_BYTES;
    for (let i = 0; i < LINE_BYTES; i += 8) this.memory.store64(this.paHi, this.paLo + i, 0, 0);
    return this.#stored();
  }

  /** There are no emulated caches to clean: translated, and done. */
  cleanInvalidateLine(aHi: number, aLo: number): boolean {
    return this.reach(Op.cleanInvalidate, aHi, aLo, RIGHT.Write) || this.refused();
  }

  cleanLineToPou(aHi: number, aLo: number): boolean {
    return this.reach(Op.cleanInvalidate, aHi, aLo, RIGHT.Read) || this.refused();
  }

  /** Whole pages are memory without bytes: translated, and done. */
  zeroPage(aHi: number, aLo: number, _bytes: number): boolean {
    return this.reach(Op.page, aHi, aLo, RIGHT.Write) || this.refused();
  }

  copyPage(dHi: number, dLo: number, _sHi: number, _sLo: number, _bytes: number): boolean {
    return this.reach(Op.page, dHi, dLo, RIGHT.Write) || this.refused();
  }

  cleanInvalidatePage(aHi: number, aLo: number, _bytes: number): boolean {
    return this.reach(Op.page, aHi, aLo, RIGHT.Write) || this.refused();
  }

  /** There are no instruction caches either: the word as it is in memory. */
  fetch(aHi: number, aLo: number): boolean {
    if (!this.reach(Op.fetch, aHi, aLo, RIGHT.Execute)) return this.refused();
    return this.result(this.memory.load32(this.paHi, this.paLo & ~3));
  }

  /** Every access is sequentially consistent already (ER-H5). */
  fence(_kind: Fence): boolean {
    return this.serve(Op.fence, 0, 0) || this.refused();
  }
}
