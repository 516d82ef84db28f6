/**
 * Debug switch (ER-T12): shuffles what must not matter, the order of CPUs in a window, of homes on
 * a worker, and of the workers whose messages are read; and messages are read at odd times, too.
 * The digest must not move.
 */

import { RandomStream } from '../../base/random.ts';

export class Shuffle {
  readonly #stream: RandomStream;

  constructor(seed: number) {
    this.#stream = new RandomStream(seed, 'engine shuffle', 0);
  }

  coin(): boolean {
    return this.#stream.below(2) === 0;
  }

  apply(list: unknown[]): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.#stream.below(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
  }
}
