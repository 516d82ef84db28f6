/**
 * Events in order of emulated time, the only scheduler of the naive engine: a binary heap. Events
 * of one time are ordered by a list of numbers (what kind of event first, then that kind's own
 * rule), and only what the rules call equal by the order in which it was pushed.
 */

export interface NaiveEvent {
  readonly time: number;
  readonly order: readonly number[];
  readonly act: () => void;
}

interface Numbered extends NaiveEvent {
  readonly number: number;
}

/** First element of an event's order: what comes first at one instant. */
export const When = { DvmEffect: 0, Loss: 1, Cpu: 2, Home: 3 } as const;

export class EventHeap {
  readonly #events: Numbered[] = [];
  #pushed = 0;

  push(time: number, order: readonly number[], act: () => void): void {
    const events = this.#events;
    events.push({ time, order, act, number: this.#pushed++ });
    let at = events.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(events[at]!, events[parent]!)) return;
      [events[at], events[parent]] = [events[parent]!, events[at]!];
      at = parent;
    }
  }

  pop(): NaiveEvent | undefined {
    const events = this.#events;
    const first = events[0];
    const last = events.pop();
    if (first === undefined || last === undefined || events.length === 0) return first;
    events[0] = last;
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < events.length && before(events[child]!, events[least]!)) least = child;
      }
      if (least === at) return first;
      [events[at], events[least]] = [events[least]!, events[at]!];
      at = least;
    }
  }
}

function before(a: Numbered, b: Numbered): boolean {
  if (a.time !== b.time) return a.time < b.time;
  const length = Math.max(a.order.length, b.order.length);
  for (let i = 0; i < length; i++) {
    const x = a.order[i] ?? 0;
    const y = b.order[i] ?? 0;
    if (x !== y) return x < y;
  }
  return a.number < b.number;
}
