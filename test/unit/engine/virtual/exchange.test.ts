/**
 * Workers that exchange reports never hear of anything too late, all see the end, and none waits
 * for ever: abstract workers whose events cause others anywhere, scheduled at random.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../../../src/base/random.ts';
import { NEVER } from '../../../../src/engine/virtual/cpu-state.ts';
import { createEngineBuffers } from '../../../../src/engine/virtual/engine-buffers.ts';
import { Exchange } from '../../../../src/engine/virtual/exchange.ts';
import { MessageKind } from '../../../../src/engine/virtual/mailbox.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

const HOP_PS = 100;
const EVENTS = 800;

class AbstractWorker {
  readonly exchange: Exchange;
  readonly index: number;
  readonly heard: number[] = [];
  ended = false;
  readonly #pending: number[] = [];
  /** All before this was run. */
  #runTo = 0;

  constructor(buffers: ReturnType<typeof createEngineBuffers>, workers: number, index: number) {
    this.index = index;
    // No cores to spin on: nothing here waits.
    this.exchange = new Exchange(buffers, workers, index, HOP_PS, 0, (words, at) => {
      const timePs = words[at]!;
      if (timePs < this.#runTo) throw new Error(`a message of ${timePs} at ${this.#runTo}`);
      this.heard.push(timePs);
      this.add(timePs);
    });
  }

  add(timePs: number): void {
    const at = this.#pending.findLastIndex((other) => other > timePs);
    this.#pending.splice(at + 1, 0, timePs);
  }

  /** One turn of the window loop. `react`: what an event causes. */
  turn(react: (worker: AbstractWorker, timePs: number) => void): void {
    const { exchange } = this;
    const own = this.#pending.at(-1) ?? NEVER;
    exchange.publish(own, 0, NEVER);
    const elsewhere = Math.min(exchange.othersPs, exchange.unreceivedPs());
    if (own < elsewhere + HOP_PS) {
      this.#runTo = own;
      this.#pending.pop();
      react(this, own);
    } else if (!exchange.look() && Math.min(own, elsewhere) === NEVER) {
      this.ended = true;
    }
  }
}

/** Returns what each worker heard. `burst`: messages that one event causes now and then. */
function simulate(count: number, seed: number, burst: number): number[][] {
  const machine = makeTestMachine({ cpuCount: count, nodeCount: count });
  const buffers = createEngineBuffers(machine, { backedBytes: 4096, zones: [] }, count, false);
  const workers = Array.from({ length: count }, (_, i) => new AbstractWorker(buffers, count, i));
  const causes = new RandomStream(seed, 'causes', 0);
  const order = new RandomStream(seed, 'order', 0);
  let left = EVENTS;
  for (const worker of workers) worker.add(1 + causes.below(1000));
  const react = (worker: AbstractWorker, timePs: number): void => {
    if (left <= 0) return;
    worker.add(timePs + 1 + causes.below(300));
    const messages = causes.below(40) === 0 ? burst : causes.below(2);
    for (let i = 0; i < messages; i++) {
      const other = (worker.index + 1 + causes.below(count - 1)) % count;
      const at = timePs + HOP_PS + causes.below(200);
      worker.exchange.send(other, MessageKind.Wake, at, other, 0, 0, 0, 0, 0, 0);
      left--;
    }
  };
  for (let turns = 0; !workers.every(({ ended }) => ended); turns++) {
    if (turns > 200 * (EVENTS + burst)) throw new Error('it never ends');
    const worker = workers[order.below(count)]!;
    if (!worker.ended) worker.turn(react);
  }
  return workers.map(({ heard }) => heard);
}

describe('Exchange', () => {
  it('lets nobody run past what is to come, and ends', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 4 }),
        fc.integer({ min: 1, max: 1e6 }),
        fc.constantFrom(2, 1500),
        (count, seed, burst) => {
          const heard = simulate(count, seed, burst);
          expect(heard.flat().length).toBeGreaterThanOrEqual(EVENTS);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('lets the one with something to do run on while the others have nothing', () => {
    const machine = makeTestMachine({ cpuCount: 2, nodeCount: 2 });
    const buffers = createEngineBuffers(machine, { backedBytes: 4096, zones: [] }, 2, false);
    const [busy, idle] = [0, 1].map((i) => new Exchange(buffers, 2, i, HOP_PS, 0, () => {}));
    busy!.publish(500, 7, NEVER);
    idle!.publish(NEVER, 3, NEVER);
    expect(busy!.look()).toBe(true);
    expect(busy!.look()).toBe(false);
    expect([busy!.othersPs, busy!.progressPs, busy!.unreceivedPs()]).toEqual([NEVER, 3, NEVER]);
    // Until it has asked for something itself.
    busy!.send(1, MessageKind.Wake, 900, 1, 0, 0, 0, 0, 0, 0);
    busy!.publish(600, 7, NEVER);
    expect(busy!.unreceivedPs()).toBe(900);
    expect(idle!.look()).toBe(true);
    expect([idle!.othersPs, idle!.progressPs]).toEqual([600, 7]);
    idle!.publish(900, 7, NEVER);
    busy!.look();
    expect([busy!.othersPs, busy!.unreceivedPs()]).toEqual([900, NEVER]);
  });

  it('tells of failures, and of none before there is one', () => {
    const machine = makeTestMachine({ cpuCount: 3, nodeCount: 3 });
    const buffers = createEngineBuffers(machine, { backedBytes: 4096, zones: [] }, 3, false);
    const [a, b] = [0, 1].map((i) => new Exchange(buffers, 3, i, HOP_PS, 0, () => {}));
    a!.publish(500, 0, NEVER);
    expect(b!.look()).toBe(true);
    expect(b!.failurePs).toBe(NEVER);
    a!.publish(500, 0, 0);
    expect(b!.look()).toBe(true);
    expect(b!.failurePs).toBe(0);
  });

  it('sleeps no longer than its time limit, and not at all when the run is to end', () => {
    const machine = makeTestMachine({ cpuCount: 2, nodeCount: 2 });
    const buffers = createEngineBuffers(machine, { backedBytes: 4096, zones: [] }, 2, false);
    const exchange = new Exchange(buffers, 2, 0, HOP_PS, 0, () => {});
    exchange.wait(NEVER);
    new Int32Array(buffers.control)[0] = 1;
    expect(() => exchange.wait(NEVER)).toThrow(/another worker failed/);
  });
});
