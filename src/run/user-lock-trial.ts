/**
 * Takes a user's lock twice, alone, on a CPU that is nothing but words in a map and refuses every
 * attempt once: misuse that needs no contention shows here, before a run starts. A lock that is
 * merely wrong (it can't be taken twice) is left to the engines, which explain it.
 */

import { StallError } from '../base/errors.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { conditionHolds } from '../cpu/operations.ts';
import { importUserLock, type TrialMessage, type TrialTask } from './user-lock-file.ts';

const ROUNDS = 2;
/** Alone, a lock is free at once: more refusals than this are a wait for nobody. */
const STEPS_MAX = 100_000;
const LOCK_LO = 0x1000;
const PER_CPU_LO = 0x10_0000;

export async function tryUserLock(
  task: TrialTask,
  tell: (message: TrialMessage) => void,
): Promise<void> {
  const lock = await importUserLock(task);
  const cpu = new TrialCpu();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      tell({ stage: 'acquire' });
      finish(lock.acquire(cpu.asCpu(), 0, LOCK_LO));
      tell({ stage: 'release' });
      finish(lock.release(cpu.asCpu(), 0, LOCK_LO));
    }
  } catch (error) {
    if (!(error instanceof StallError)) throw error;
  }
  tell({ stage: 'done', name: lock.name });
}

/** Runs a program and all that it calls to their end. */
function finish(program: Program): void {
  const stack = [program];
  for (let steps = 0; stack.length > 0; steps++) {
    if (steps > STEPS_MAX) throw waitsForNobody();
    const { done, value } = stack.at(-1)!.next();
    if (done === true) stack.pop();
    else if (value !== undefined) stack.push(value);
  }
}

/** Sequential memory by byte; each attempt is refused once, then performed. */
export class TrialCpu {
  readonly id = 0;
  readonly node = 0;
  readonly cpuCount = 1;
  lo = 0;
  hi = 0;
  ok = false;
  readonly #bytes = new Map<number, number>();
  #wasRefused = false;

  /** The operations that user-cpu.ts forwards, and no others. */
  asCpu(): Cpu {
    return this as unknown as Cpu;
  }

  nodeOfCpu(): number {
    return 0;
  }

  perCpuHi(): number {
    return 0;
  }

  perCpuLo(id: number): number {
    return PER_CPU_LO * (id + 1);
  }

  load8(_hi: number, lo: number): boolean {
    return this.#once(() => this.#result(this.#read(lo, 1)));
  }

  load32(_hi: number, lo: number): boolean {
    return this.#once(() => this.#result(this.#read(lo, 4)));
  }

  load64(_hi: number, lo: number): boolean {
    return this.#once(() => this.#result(this.#read(lo, 4), this.#read(lo + 4, 4)));
  }

  store8(_hi: number, lo: number, value: number): boolean {
    return this.#once(() => this.#write(lo, 1, value));
  }

  store16(_hi: number, lo: number, value: number): boolean {
    return this.#once(() => this.#write(lo, 2, value));
  }

  store32(_hi: number, lo: number, value: number): boolean {
    return this.#once(() => this.#write(lo, 4, value));
  }

  store64(_hi: number, lo: number, vHi: number, vLo: number): boolean {
    return this.#once(() => {
      this.#write(lo, 4, vLo);
      this.#write(lo + 4, 4, vHi);
    });
  }

  cas32(_hi: number, lo: number, expected: number, desired: number): boolean {
    return this.#update32(lo, (old) => {
      this.ok = old === (expected | 0);
      return this.ok ? desired : old;
    });
  }

  cas64(_hi: number, lo: number, eHi: number, eLo: number, dHi: number, dLo: number): boolean {
    return this.#update64(lo, (oldHi, oldLo) => {
      this.ok = oldHi === (eHi | 0) && oldLo === (eLo | 0);
      return this.ok ? [dHi, dLo] : [oldHi, oldLo];
    });
  }

  swap16(_hi: number, lo: number, value: number): boolean {
    return this.#once(() => {
      this.#result(this.#read(lo, 2));
      this.#write(lo, 2, value);
    });
  }

  swap32(_hi: number, lo: number, value: number): boolean {
    return this.#update32(lo, () => value);
  }

  swap64(_hi: number, lo: number, vHi: number, vLo: number): boolean {
    return this.#update64(lo, () => [vHi, vLo]);
  }

  add32(_hi: number, lo: number, value: number): boolean {
    return this.#update32(lo, (old) => old + value);
  }

  add64(_hi: number, lo: number, vHi: number, vLo: number): boolean {
    return this.#update64(lo, (oldHi, oldLo) => {
      const sum = (oldLo >>> 0) + (vLo >>> 0);
      return [oldHi + vHi + (sum > 0xffff_ffff ? 1 : 0), sum | 0];
    });
  }

  set32(_hi: number, lo: number, bits: number): boolean {
    return this.#update32(lo, (old) => old | bits);
  }

  clear32(_hi: number, lo: number, bits: number): boolean {
    return this.#update32(lo, (old) => old & ~bits);
  }

  cond32(_hi: number, lo: number, kind: number, mask: number, operand: number): boolean {
    return this.#once(() => {
      this.#result(this.#read(lo, 4));
      if (!conditionHolds(this.lo, kind, mask, operand)) throw waitsForNobody();
    });
  }

  cond32Until(_hi: number, lo: number, kind: number, mask: number, operand: number): boolean {
    return this.#once(() => {
      this.#result(this.#read(lo, 4));
      this.ok = conditionHolds(this.lo, kind, mask, operand);
    });
  }

  fence(): boolean {
    return this.#once(() => {});
  }

  wake(): boolean {
    return this.#once(() => {});
  }

  idle(): boolean {
    throw waitsForNobody();
  }

  compute(): void {}

  count(): void {}

  event(): void {}

  deadline(): number {
    return 0;
  }

  expired(): boolean {
    return true;
  }

  interrupts(): boolean {
    return true;
  }

  #once(perform: () => void): boolean {
    this.#wasRefused = !this.#wasRefused;
    if (!this.#wasRefused) perform();
    return !this.#wasRefused;
  }

  #result(lo: number, hi = 0): void {
    this.lo = lo;
    this.hi = hi;
    this.ok = true;
  }

  #update32(lo: number, next: (old: number) => number): boolean {
    return this.#once(() => {
      this.#result(this.#read(lo, 4));
      this.#write(lo, 4, next(this.lo));
    });
  }

  #update64(lo: number, next: (hi: number, lo: number) => [number, number]): boolean {
    return this.#once(() => {
      this.#result(this.#read(lo, 4), this.#read(lo + 4, 4));
      const [vHi, vLo] = next(this.hi, this.lo);
      this.#write(lo, 4, vLo);
      this.#write(lo + 4, 4, vHi);
    });
  }

  #read(lo: number, bytes: number): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value |= (this.#bytes.get(lo + i) ?? 0) << (8 * i);
    return value;
  }

  #write(lo: number, bytes: number, value: number): void {
    for (let i = 0; i < bytes; i++) this.#bytes.set(lo + i, (value >>> (8 * i)) & 0xff);
  }
}

function waitsForNobody(): StallError {
  return new StallError('waits although nobody else runs');
}
