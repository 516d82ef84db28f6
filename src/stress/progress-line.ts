/**
 * Progress of a campaign on stderr: one line that is redrawn on a terminal, a plain line every ten
 * seconds elsewhere.
 */

import { threeDigits } from '../base/units.ts';
import { groupDigits } from '../report/table.ts';
import type { ProgressSink } from '../run/progress.ts';

const PLAIN_INTERVAL_S = 10;

export class ProgressLine {
  readonly #sink: ProgressSink | null;
  #isDrawn = false;
  #nextPlainS = PLAIN_INTERVAL_S;

  /** null: nothing is printed. */
  constructor(sink: ProgressSink | null) {
    this.#sink = sink;
  }

  draw(title: string, schedules: number, seconds: number): void {
    const sink = this.#sink;
    if (sink === null) return;
    const rate = threeDigits(schedules / Math.max(seconds, 0.001) / 1000);
    const text = `${title}: ${groupDigits(schedules)} schedules, ${rate} k/s`;
    if (sink.isTerminal) {
      sink.write(`\r\x1b[K${text.slice(0, sink.columns - 1)}`);
      this.#isDrawn = true;
    } else if (seconds >= this.#nextPlainS) {
      sink.write(`${text}\n`);
      this.#nextPlainS += PLAIN_INTERVAL_S;
    }
  }

  clear(): void {
    this.#nextPlainS = PLAIN_INTERVAL_S;
    if (this.#isDrawn) this.#sink?.write('\r\x1b[K');
    this.#isDrawn = false;
  }
}
