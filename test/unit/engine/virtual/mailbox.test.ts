/** Messages between workers arrive as they were sent, in order, also more than an outbox holds. */

import { describe, expect, it } from 'vitest';
import { createEngineBuffers } from '../../../../src/engine/virtual/engine-buffers.ts';
import {
  MESSAGE_DOUBLES,
  MessageKind,
  Outbox,
  outboxCapacity,
  readOutbox,
} from '../../../../src/engine/virtual/mailbox.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

const CPUS = 4;

function makeOutbox() {
  const machine = makeTestMachine({ cpuCount: CPUS, nodeCount: 2 });
  const memory = { backedBytes: 4096, zones: [] };
  const { outboxes, overflows } = createEngineBuffers(machine, memory, 2, false);
  const outbox = new Outbox(outboxes[1]!, overflows.slice(2, 4), CPUS);
  // The reader attaches before anything is sent, as workers do.
  const words = new Float64Array(outboxes[1]!);
  const spare = [2, 3].map((index) => new Float64Array(overflows[index]!));
  const read = (parity: number, worker: number): number[][] => {
    const messages: number[][] = [];
    readOutbox(words, spare[parity]!, parity, CPUS, worker, (from, at) => {
      messages.push([...from.slice(at, at + MESSAGE_DOUBLES)]);
    });
    return messages;
  };
  return { outbox, read };
}

describe('Outbox', () => {
  it('gives each worker its own messages, parity by parity', () => {
    const { outbox, read } = makeOutbox();
    outbox.open(0);
    outbox.send(0, MessageKind.Grant, 500, 3, 3, 1, 2, 4, 5, 6);
    outbox.send(2, MessageKind.Wake, 400, 1, 1, 0, 0, 0, 0, 0);
    outbox.close();
    expect(outbox.earliestPs).toBe(400);
    expect(read(0, 0)).toEqual([[500, MessageKind.Grant + 16 * 3, 3, 1, 2, 4, 5, 6]]);
    outbox.open(1);
    outbox.close();
    expect(outbox.earliestPs).toBe(Number.POSITIVE_INFINITY);
    expect(read(1, 0)).toEqual([]);
    expect(read(0, 2)).toHaveLength(1);
  });

  it('keeps order and content beyond its capacity: a page taken from many caches', () => {
    const { outbox, read } = makeOutbox();
    const count = 3 * outboxCapacity(CPUS) + 17;
    for (const parity of [0, 1, 0]) {
      outbox.open(parity);
      for (let i = 0; i < count; i++) {
        outbox.send(i % 2, MessageKind.Loss, 1000 + i, i, i, i, -i, 0, 1, 2.5 * i);
      }
      outbox.close();
      const mine = read(parity, 1);
      expect(mine).toHaveLength(Math.floor(count / 2));
      mine.forEach((message, k) => {
        const i = 2 * k + 1;
        const kindAndCpu = MessageKind.Loss + 16 * i;
        expect(message).toEqual([1000 + i, kindAndCpu, i, i, -i, 0, 1, 2.5 * i]);
      });
    }
  });
});
