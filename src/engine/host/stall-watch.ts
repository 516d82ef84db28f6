/**
 * Finds out from the control words that a host run stands still: no running CPU performs attempts
 * and none completes an operation. A waiting CPU tests its condition at every time-out; that is no
 * progress.
 */

import { Block, blockOf, controlLayout, State } from './control.ts';
import type { HostSpec } from './spec.ts';

export class StallWatch {
  readonly #spec: HostSpec;
  readonly #words: Int32Array;
  #last = '';
  #sinceMs = 0;

  constructor(spec: HostSpec, control: SharedArrayBuffer) {
    this.#spec = spec;
    this.#words = new Int32Array(control);
  }

  /** For how long nothing has moved. To be asked a few times per second. */
  stillMs(nowMs: number): number {
    const layout = controlLayout(this.#spec.machine.cpuCount);
    const progress = this.#spec.activeCpus.map((cpu) => {
      const block = blockOf(layout, cpu);
      const runs = this.#words[block + Block.State] === State.Running;
      const performed = runs ? this.#words[block + Block.Performed] : -1;
      return `${performed} ${this.#words[block + Block.Marks]}`;
    });
    const now = progress.join();
    if (now !== this.#last) {
      this.#last = now;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }

  /** Who waits for what, one clause per CPU. */
  describe(): string {
    const layout = controlLayout(this.#spec.machine.cpuCount);
    return this.#spec.activeCpus
      .map((cpu) => this.#describeCpu(cpu, blockOf(layout, cpu)))
      .join('; ');
  }

  #describeCpu(cpu: number, block: number): string {
    const hex = (index: number): string => (this.#words[block + index]! >>> 0).toString(16);
    switch (this.#words[block + Block.State]) {
      case State.Finished:
        return `cpu ${cpu} has finished`;
      case State.Idle:
        return `cpu ${cpu} is idle and waits for a wake-up`;
      case State.Barrier:
        return `cpu ${cpu} waits in DSB for acknowledgements`;
      case State.Running:
        return `cpu ${cpu} runs`;
      default:
        return (
          `cpu ${cpu} waits for the word at ${hex(Block.WaitHi)}:${hex(Block.WaitLo)}, ` +
          `condition ${hex(Block.WaitKind)}, mask ${hex(Block.WaitMask)}, ` +
          `operand ${hex(Block.WaitOperand)}`
        );
    }
  }
}
