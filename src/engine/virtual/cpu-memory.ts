/**
 * Loads, stores and atomics of the virtual engine: an access, then the content of the word. Atomics
 * are near: performed in the private cache, on a line held exclusively.
 */

import { RequestKind } from '../../cache/line-state.ts';
import type { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { FetchingCpu } from './cpu-fetch.ts';

export class MemoryCpu extends FetchingCpu {
  /**
   * Additional time of a read-modify-write on an owned line; after a grant the transfer is the
   * cost.
   */
  protected chargeAtomic(): void {
    if (this.clock !== this.grantedAt) this.spend(Cost.Atomic);
  }

  load32(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 0)) return false;
    this.lo = this.word < this.zone.length ? this.zone[this.word]! : 0;
    this.hi = 0;
    return true;
  }

  load64(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 0)) return false;
    const zone = this.zone;
    const word = this.word;
    if (word + 1 < zone.length) {
      this.lo = zone[word]!;
      this.hi = zone[word + 1]!;
    } else {
      this.lo = 0;
      this.hi = 0;
    }
    return true;
  }

  store32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    if (this.word < this.zone.length) this.zone[this.word] = value;
    return true;
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    const zone = this.zone;
    const word = this.word;
    if (word + 1 < zone.length) {
      zone[word] = vLo;
      zone[word + 1] = vHi;
    }
    return true;
  }

  /** Reads the old value of an atomic into lo (and hi). */
  protected readOld(wide: boolean): void {
    this.lo = this.readWord(0);
    this.hi = wide ? this.readWord(1) : 0;
  }

  protected readWord(offset: number): number {
    const at = this.word + offset;
    return at < this.zone.length ? this.zone[at]! : 0;
  }

  protected writeWord(offset: number, value: number): void {
    const at = this.word + offset;
    if (at < this.zone.length) this.zone[at] = value;
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(false);
    this.ok = this.clock !== this.skippedAt && this.lo === (expected | 0);
    if (this.ok) this.writeWord(0, desired);
    this.chargeAtomic();
    return true;
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
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(true);
    this.ok = this.clock !== this.skippedAt && this.lo === (eLo | 0) && this.hi === (eHi | 0);
    if (this.ok) {
      this.writeWord(0, dLo);
      this.writeWord(1, dHi);
    }
    this.chargeAtomic();
    return true;
  }

  swap32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(false);
    this.writeWord(0, value);
    this.chargeAtomic();
    return true;
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(true);
    this.writeWord(0, vLo);
    this.writeWord(1, vHi);
    this.chargeAtomic();
    return true;
  }

  add32(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(false);
    this.writeWord(0, (this.lo + value) | 0);
    this.chargeAtomic();
    return true;
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(true);
    const low = (this.lo >>> 0) + (vLo >>> 0);
    this.writeWord(0, low | 0);
    this.writeWord(1, (this.hi + vHi + (low >= 0x1_0000_0000 ? 1 : 0)) | 0);
    this.chargeAtomic();
    return true;
  }

  set32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(false);
    this.writeWord(0, this.lo | bits);
    this.chargeAtomic();
    return true;
  }

  clear32(aHi: number, aLo: number, bits: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.readOld(false);
    this.writeWord(0, this.lo & ~bits);
    this.chargeAtomic();
    return true;
  }

  load8(aHi: number, aLo: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 0)) return false;
    this.lo = (this.readWord(0) >>> ((aLo & 3) * 8)) & 0xff;
    this.hi = 0;
    return true;
  }

  store8(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.writePart((aLo & 3) * 8, 0xff, value);
    return true;
  }

  store16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    this.writePart((aLo & 2) * 8, 0xffff, value);
    return true;
  }

  swap16(aHi: number, aLo: number, value: number, _order: Order): boolean {
    if (!this.access(aHi, aLo, 1)) return false;
    const shift = (aLo & 2) * 8;
    const old = (this.readWord(0) >>> shift) & 0xffff;
    this.writePart(shift, 0xffff, value);
    this.lo = old;
    this.hi = 0;
    this.chargeAtomic();
    return true;
  }

  protected writePart(shift: number, mask: number, value: number): void {
    this.writeWord(0, (this.readWord(0) & ~(mask << shift)) | ((value & mask) << shift));
  }

  zeroLine(aHi: number, aLo: number): boolean {
    this.missKind = RequestKind.WriteNoData;
    const performed = this.access(aHi, aLo & ~63, 1);
    this.missKind = RequestKind.Write;
    if (!performed) return false;
    for (let offset = 0; offset < 16; offset++) this.writeWord(offset, 0);
    return true;
  }
}
