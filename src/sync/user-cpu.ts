/**
 * The CPU as a user's own lock sees it: the operations that a lock needs, the constants in `api`
 * (so that the file imports nothing), and a queue node of its own per CPU. Every call is checked
 * against the one rule of src/cpu/cpu.ts (a refused attempt is repeated, identically, after a
 * yield) and against what the lock owns, because an engine can only assert these, and a user needs
 * the file and the export instead of a stack.
 *
 * One object per call of acquire or release: what was refused belongs to that call alone.
 */

import { UserError } from '../base/errors.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Fence, Order } from '../cpu/operations.ts';
import { LockNode, nodeLo, USER_NODE_BYTES } from './lock-nodes.ts';

export const USER_API = Object.freeze({ Order, Condition, Fence, nodeBytes: USER_NODE_BYTES });

/** Calls without a yield, or yields without an attempt: more is a loop that never ends. */
const CALLS_MAX = 100_000;

export interface UserLockPlace {
  /** File and export, as errors name them: "./my-lock.mjs: acquire". */
  readonly what: string;
  readonly hi: number;
  readonly lo: number;
  readonly bytes: number;
}

type Operands = readonly number[];

export class UserCpu {
  readonly api = USER_API;
  readonly #cpu: Cpu;
  readonly #place: UserLockPlace;
  /** The attempt that was refused and has to come again; '' = none. */
  #refused = '';
  #operands: Operands = [];
  #hasYielded = false;
  #callsSinceYield = 0;
  #yieldsSinceAttempt = 0;
  #engineError: unknown = undefined;
  /** A compare-and-swap failed, or a conditional load had to be repeated. */
  contended = false;

  constructor(cpu: Cpu, place: UserLockPlace) {
    this.#cpu = cpu;
    this.#place = place;
  }

  get id(): number {
    return this.#cpu.id;
  }

  get node(): number {
    return this.#cpu.node;
  }

  get cpuCount(): number {
    return this.#cpu.cpuCount;
  }

  get lo(): number {
    return this.#cpu.lo;
  }

  get hi(): number {
    return this.#cpu.hi;
  }

  get ok(): boolean {
    return this.#cpu.ok;
  }

  nodeOfCpu(id: number): number {
    return this.#cpu.nodeOfCpu(id);
  }

  /** Address of a CPU's queue node: `api.nodeBytes` bytes on its node, zero at first. */
  nodeHi(id: number): number {
    return this.#cpu.perCpuHi(id);
  }

  nodeLo(id: number): number {
    return nodeLo(this.#cpu, id, LockNode.User);
  }

  load8(hi: number, lo: number, order: Order): boolean {
    return this.#attempt('load8', [hi, lo, order], (cpu) => cpu.load8(hi, lo, order));
  }

  load32(hi: number, lo: number, order: Order): boolean {
    return this.#attempt('load32', [hi, lo, order], (cpu) => cpu.load32(hi, lo, order));
  }

  load64(hi: number, lo: number, order: Order): boolean {
    return this.#attempt('load64', [hi, lo, order], (cpu) => cpu.load64(hi, lo, order));
  }

  store8(hi: number, lo: number, value: number, order: Order): boolean {
    return this.#write('store8', 1, [hi, lo, value, order], (cpu) =>
      cpu.store8(hi, lo, value, order),
    );
  }

  store16(hi: number, lo: number, value: number, order: Order): boolean {
    return this.#write('store16', 2, [hi, lo, value, order], (cpu) =>
      cpu.store16(hi, lo, value, order),
    );
  }

  store32(hi: number, lo: number, value: number, order: Order): boolean {
    return this.#write('store32', 4, [hi, lo, value, order], (cpu) =>
      cpu.store32(hi, lo, value, order),
    );
  }

  store64(hi: number, lo: number, vHi: number, vLo: number, order: Order): boolean {
    return this.#write('store64', 8, [hi, lo, vHi, vLo, order], (cpu) =>
      cpu.store64(hi, lo, vHi, vLo, order),
    );
  }

  cas32(hi: number, lo: number, expected: number, desired: number, order: Order): boolean {
    const done = this.#write('cas32', 4, [hi, lo, expected, desired, order], (cpu) =>
      cpu.cas32(hi, lo, expected, desired, order),
    );
    if (done && !this.ok) this.contended = true;
    return done;
  }

  cas64(
    hi: number,
    lo: number,
    eHi: number,
    eLo: number,
    dHi: number,
    dLo: number,
    order: Order,
  ): boolean {
    const done = this.#write('cas64', 8, [hi, lo, eHi, eLo, dHi, dLo, order], (cpu) =>
      cpu.cas64(hi, lo, eHi, eLo, dHi, dLo, order),
    );
    if (done && !this.ok) this.contended = true;
    return done;
  }

  swap16(hi: number, lo: number, value: number, order: Order): boolean {
    return this.#write('swap16', 2, [hi, lo, value, order], (cpu) =>
      cpu.swap16(hi, lo, value, order),
    );
  }

  swap32(hi: number, lo: number, value: number, order: Order): boolean {
    return this.#write('swap32', 4, [hi, lo, value, order], (cpu) =>
      cpu.swap32(hi, lo, value, order),
    );
  }

  swap64(hi: number, lo: number, vHi: number, vLo: number, order: Order): boolean {
    return this.#write('swap64', 8, [hi, lo, vHi, vLo, order], (cpu) =>
      cpu.swap64(hi, lo, vHi, vLo, order),
    );
  }

  add32(hi: number, lo: number, value: number, order: Order): boolean {
    return this.#write('add32', 4, [hi, lo, value, order], (cpu) =>
      cpu.add32(hi, lo, value, order),
    );
  }

  add64(hi: number, lo: number, vHi: number, vLo: number, order: Order): boolean {
    return this.#write('add64', 8, [hi, lo, vHi, vLo, order], (cpu) =>
      cpu.add64(hi, lo, vHi, vLo, order),
    );
  }

  set32(hi: number, lo: number, bits: number, order: Order): boolean {
    return this.#write('set32', 4, [hi, lo, bits, order], (cpu) => cpu.set32(hi, lo, bits, order));
  }

  clear32(hi: number, lo: number, bits: number, order: Order): boolean {
    return this.#write('clear32', 4, [hi, lo, bits, order], (cpu) =>
      cpu.clear32(hi, lo, bits, order),
    );
  }

  cond32(
    hi: number,
    lo: number,
    kind: Condition,
    mask: number,
    operand: number,
    order: Order,
  ): boolean {
    const done = this.#attempt('cond32', [hi, lo, kind, mask, operand, order], (cpu) =>
      cpu.cond32(hi, lo, kind, mask, operand, order),
    );
    if (!done) this.contended = true;
    return done;
  }

  cond32Until(
    hi: number,
    lo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
    order: Order,
  ): boolean {
    const operands = [hi, lo, kind, mask, operand, deadline, order];
    const done = this.#attempt('cond32Until', operands, (cpu) =>
      cpu.cond32Until(hi, lo, kind, mask, operand, deadline, order),
    );
    if (!done) this.contended = true;
    return done;
  }

  fence(kind: Fence): boolean {
    return this.#attempt('fence', [kind], (cpu) => cpu.fence(kind));
  }

  wake(target: number): boolean {
    return this.#attempt('wake', [target], (cpu) => cpu.wake(target));
  }

  idle(): boolean {
    return this.#attempt('idle', [], (cpu) => cpu.idle());
  }

  compute(costPs: number): void {
    this.#call('compute');
    this.#cpu.compute(costPs);
  }

  deadline(afterPs: number): number {
    this.#call('deadline');
    return this.#cpu.deadline(afterPs);
  }

  expired(deadline: number): boolean {
    this.#call('expired');
    return this.#cpu.expired(deadline);
  }

  /** Enables or masks interrupts; returns the previous state. */
  interrupts(enabled: boolean): boolean {
    this.#call('interrupts');
    return this.#cpu.interrupts(enabled);
  }

  // ---- for user-lock.ts -----------------------------------------------------------------------

  /** The next step of the user's generator; what the user's code throws becomes one line. */
  resume(program: Program): IteratorResult<Program | undefined, void> {
    try {
      return program.next();
    } catch (error) {
      if (error === this.#engineError || error instanceof UserError) throw error;
      throw this.misuse(`threw ${oneLine(error)}`);
    }
  }

  yielded(): void {
    this.#hasYielded = true;
    this.#callsSinceYield = 0;
    this.#yieldsSinceAttempt++;
    if (this.#yieldsSinceAttempt > CALLS_MAX) {
      throw this.misuse('yields for ever without an attempt; yield only after a refusal');
    }
  }

  ended(): void {
    if (this.#refused === '') return;
    throw this.misuse(`returns although ${this.#refused} was refused; yield and repeat it`);
  }

  misuse(text: string): UserError {
    return new UserError(`${this.#place.what} ${text}`);
  }

  // ---- checks ---------------------------------------------------------------------------------

  #write(name: string, bytes: number, operands: Operands, perform: (cpu: Cpu) => boolean): boolean {
    const [hi, lo] = operands as [number, number];
    if (!this.#owns(hi, lo, bytes)) {
      const address = `0x${(hi >>> 0).toString(16)}_${(lo >>> 0).toString(16).padStart(8, '0')}`;
      throw this.misuse(
        `writes with ${name} to ${address}, which it does not own; ` +
          `its own are ${this.#place.bytes} bytes (wordBytes) at (hi, lo) and the nodes at nodeLo`,
      );
    }
    return this.#attempt(name, operands, perform);
  }

  #owns(hi: number, lo: number, bytes: number): boolean {
    const place = this.#place;
    const offset = (lo >>> 0) - (place.lo >>> 0);
    if (hi === place.hi && offset >= 0 && offset + bytes <= place.bytes) return true;
    for (let id = 0; id < this.#cpu.cpuCount; id++) {
      const inNode = (lo >>> 0) - (this.nodeLo(id) >>> 0);
      if (hi !== this.nodeHi(id) || inNode < 0) continue;
      if (inNode + bytes <= USER_NODE_BYTES) return true;
    }
    return false;
  }

  #attempt(name: string, operands: Operands, perform: (cpu: Cpu) => boolean): boolean {
    this.#call(name);
    this.#yieldsSinceAttempt = 0;
    if (operands.some((operand) => !Number.isSafeInteger(operand))) {
      throw this.misuse(`calls ${shown(name, operands)}: each operand is a whole number`);
    }
    if (this.#refused !== '') this.#checkRepeated(name, operands);
    let performed: boolean;
    try {
      performed = perform(this.#cpu);
    } catch (error) {
      this.#engineError = error;
      throw error;
    }
    this.#refused = performed ? '' : name;
    this.#operands = operands;
    this.#hasYielded = false;
    return performed;
  }

  #checkRepeated(name: string, operands: Operands): void {
    const before = this.#operands;
    const isSame =
      name === this.#refused && operands.every((operand, index) => operand === before[index]);
    if (!isSame) {
      const was = shown(this.#refused, before);
      throw this.misuse(
        `changes an attempt after a refusal: ${was} was refused, then came ` +
          `${shown(name, operands)}; yield and repeat the same`,
      );
    }
    if (!this.#hasYielded) {
      throw this.misuse(
        `repeats ${name} without yielding; write: while (!cpu.${name}(...)) yield;`,
      );
    }
  }

  #call(name: string): void {
    if (++this.#callsSinceYield <= CALLS_MAX) return;
    throw this.misuse(`never yields: ${CALLS_MAX} calls without one, the last was ${name}`);
  }
}

function shown(name: string, operands: Operands): string {
  return `${name}(${operands.join(', ')})`;
}

export function oneLine(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.split('\n', 1)[0]!.slice(0, 200);
}
