/**
 * What one CPU did that checkers of the whole machine must know, in the order of its own clock:
 * growing columns, written only with checks on, replayed after the run (replay.ts).
 *
 * The log is bounded. When it is full it notes the time: the replay feeds no events after it.
 */

/** Events of one log, if nobody says otherwise. */
const EVENTS_MAX = 1 << 22;

/** A finished log as plain data. */
export interface EventColumns {
  readonly count: number;
  readonly timePs: Float64Array;
  readonly kind: Uint8Array;
  readonly hi: Int32Array;
  readonly lo: Int32Array;
}

export class EventLog {
  count = 0;
  /** When the first event was left out. */
  fullAtPs = Number.POSITIVE_INFINITY;
  #timePs = new Float64Array(256);
  #kind = new Uint8Array(256);
  #hi = new Int32Array(256);
  #lo = new Int32Array(256);
  readonly #limit: number;

  constructor(limit: number = EVENTS_MAX) {
    this.#limit = limit;
  }

  add(timePs: number, kind: number, hi: number, lo: number): void {
    const at = this.count;
    if (at === this.#limit) {
      this.fullAtPs = Math.min(this.fullAtPs, timePs);
      return;
    }
    if (at === this.#kind.length) this.#grow();
    this.#timePs[at] = timePs;
    this.#kind[at] = kind;
    this.#hi[at] = hi;
    this.#lo[at] = lo;
    this.count++;
  }

  columns(): EventColumns {
    const { count } = this;
    return {
      count,
      timePs: this.#timePs.slice(0, count),
      kind: this.#kind.slice(0, count),
      hi: this.#hi.slice(0, count),
      lo: this.#lo.slice(0, count),
    };
  }

  #grow(): void {
    const length = 2 * this.#kind.length;
    this.#timePs = grown(new Float64Array(length), this.#timePs);
    this.#kind = grown(new Uint8Array(length), this.#kind);
    this.#hi = grown(new Int32Array(length), this.#hi);
    this.#lo = grown(new Int32Array(length), this.#lo);
  }
}

/** The larger array with the contents of the smaller. */
export function grown<Values extends { set(values: Values): void }>(
  larger: Values,
  smaller: Values,
): Values {
  larger.set(smaller);
  return larger;
}
