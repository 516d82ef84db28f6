/**
 * Finds out from the control words that a host run stands still (no running CPU performs attempts
 * and none completes an operation) or gets nowhere (attempts, but no operation is completed). A
 * waiting CPU tests its condition at every time-out; that is no progress.
 */

import { Condition } from '../../cpu/operations.ts';
import { Block, blockOf, type ControlLayout, controlLayout, Global, State } from './control.ts';
import type { HostSpec } from './spec.ts';
import { placeText, traceText } from './trace.ts';

/** Operations printed of each CPU. */
const LAST_OPERATIONS = 8;
/** Threads take their time to start, which is no stall; but not for ever. */
const STARTING_MS = 30_000;
const CONDITION_NAMES = Object.keys(Condition);

export class StallWatch {
  readonly #spec: HostSpec;
  readonly #words: Int32Array;
  readonly #layout: ControlLayout;
  #lastSteps = '';
  #stepMs = 0;
  #lastDone = '';
  #doneMs = 0;
  #firstMs: number | null = null;

  constructor(spec: HostSpec, control: SharedArrayBuffer) {
    this.#spec = spec;
    this.#words = new Int32Array(control);
    this.#layout = controlLayout(spec.machine.cpuCount);
  }

  /** Looks at the words; to be called a few times per second, before the figures are read. */
  look(nowMs: number): void {
    const words = this.#words;
    const blocks = this.#spec.activeCpus.map((cpu) => blockOf(this.#layout, cpu));
    const marks = blocks.map((block) => words[block + Block.Marks]);
    const done = `${words[Global.Round]} ${marks.join()}`;
    this.#firstMs ??= nowMs;
    const starting =
      nowMs - this.#firstMs < STARTING_MS &&
      blocks.some((block) => words[block + Block.State] === State.Starting);
    const steps = blocks.map((block) => {
      const runs = words[block + Block.State] === State.Running;
      return runs ? words[block + Block.Performed] : -1;
    });
    if (starting || done !== this.#lastDone) {
      this.#lastDone = done;
      this.#doneMs = nowMs;
    }
    if (starting || `${done} ${steps.join()}` !== this.#lastSteps) {
      this.#lastSteps = `${done} ${steps.join()}`;
      this.#stepMs = nowMs;
    }
  }

  /** For how long nothing has moved. */
  stillMs(nowMs: number): number {
    return nowMs - this.#stepMs;
  }

  /** For how long no operation has been completed. */
  fruitlessMs(nowMs: number): number {
    return nowMs - this.#doneMs;
  }

  /** Does every CPU wait that has not finished? Else somebody runs and gets nowhere. */
  isDeadlock(): boolean {
    return this.#spec.activeCpus.every(
      (cpu) => this.#words[blockOf(this.#layout, cpu) + Block.State] !== State.Running,
    );
  }

  /** Who waits for what and what it did last, one line per CPU. */
  describe(): string[] {
    return this.#spec.activeCpus.map((cpu) => {
      const block = blockOf(this.#layout, cpu);
      const last = traceText(this.#words, block, LAST_OPERATIONS, this.#spec.symbols);
      return `cpu ${cpu} ${this.#doing(block)}${last === '' ? '' : ` (last: ${last})`}`;
    });
  }

  #doing(block: number): string {
    const words = this.#words;
    switch (words[block + Block.State]) {
      case State.Starting:
        return 'has not started';
      case State.Finished:
        return 'has finished';
      case State.Resting:
        return 'has finished the round';
      case State.Idle:
        return 'is idle and waits for a wake-up';
      case State.Barrier:
        return 'waits in DSB for acknowledgements';
      case State.Running:
        return 'runs';
      default:
        return `waits for ${this.#waitText(block)}`;
    }
  }

  #waitText(block: number): string {
    const words = this.#words;
    const hex = (index: number): string => (words[block + index]! >>> 0).toString(16);
    const { symbols } = this.#spec;
    const place = placeText(symbols, words[block + Block.WaitHi]!, words[block + Block.WaitLo]!);
    const kind = CONDITION_NAMES[words[block + Block.WaitKind]!];
    return `the word at ${place}: ${kind} ${hex(Block.WaitOperand)} under ${hex(Block.WaitMask)}`;
  }
}
