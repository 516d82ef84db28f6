/**
 * A channel delivers every message once and in order, however many are under way, and its sender
 * vouches for the times of those that were not acknowledged.
 */

import { describe, expect, it } from 'vitest';
import {
  CHANNEL_BYTES,
  CHANNEL_MESSAGES,
  ReceivingEnd,
  SendingEnd,
} from '../../../../src/engine/virtual/channel.ts';
import { MessageKind } from '../../../../src/engine/virtual/mailbox.ts';

function makeChannel() {
  const ring = new SharedArrayBuffer(CHANNEL_BYTES);
  const sender = new SendingEnd(ring);
  const receiver = new ReceivingEnd(ring);
  const times: number[] = [];
  const send = (timePs: number): void => sender.send(MessageKind.Wake, timePs, 1, 2, 3, 4, 5, 6, 7);
  const receive = (): boolean =>
    receiver.receive(sender.sent, (words, at) => {
      expect([...words.slice(at + 1, at + 8)]).toEqual([MessageKind.Wake + 32, 1, 3, 4, 5, 6, 7]);
      times.push(words[at]!);
    });
  return { sender, receiver, times, send, receive };
}

describe('a channel', () => {
  it('vouches for messages until they are acknowledged', () => {
    const { sender, receiver, send, receive, times } = makeChannel();
    expect(sender.unreceivedPs).toBe(Number.POSITIVE_INFINITY);
    send(500);
    send(700);
    expect(sender.unreceivedPs).toBe(500);
    expect(receive()).toBe(true);
    expect(receive()).toBe(false);
    const { received } = receiver;
    send(600);
    sender.acknowledge(received);
    expect(sender.unreceivedPs).toBeLessThanOrEqual(600);
    receive();
    sender.acknowledge(receiver.received);
    expect(sender.unreceivedPs).toBe(Number.POSITIVE_INFINITY);
    expect(times).toEqual([500, 700, 600]);
  });

  it('never vouches for less than it must, and for nothing in the end', () => {
    const { sender, receiver, send, receive, times } = makeChannel();
    const sent: number[] = [];
    for (let i = 0; i < 5000; i++) {
      const timePs = 1000 + ((i * 7919) % 613);
      sent.push(timePs);
      send(timePs);
      if (i % 3 === 0) receive();
      if (i % 7 === 0) sender.acknowledge(receiver.received);
      const least = Math.min(...sent.slice(receiver.received));
      expect(sender.unreceivedPs).toBeLessThanOrEqual(least);
    }
    while (times.length < sent.length) {
      receive();
      sender.acknowledge(receiver.received);
    }
    sender.acknowledge(receiver.received);
    expect(sender.unreceivedPs).toBe(Number.POSITIVE_INFINITY);
    expect(times).toEqual(sent);
  });

  it('keeps what the ring has no room for, in order', () => {
    const { sender, receiver, send, receive, times } = makeChannel();
    const count = 3 * CHANNEL_MESSAGES + 17;
    for (let i = 0; i < count; i++) send(i + 1);
    expect(sender.sent).toBe(CHANNEL_MESSAGES);
    expect(sender.backlogPs).toBe(CHANNEL_MESSAGES + 1);
    for (let round = 0; times.length < count; round++) {
      expect(round).toBeLessThan(10);
      expect(sender.unreceivedPs).toBeLessThanOrEqual(times.length + 1);
      receive();
      // While messages wait, later ones queue behind them.
      if (round === 0) send(count + 1);
      const moved = sender.acknowledge(receiver.received);
      expect(moved).toBe(sender.sent > receiver.received);
    }
    receive();
    sender.acknowledge(receiver.received);
    expect(sender.backlogPs).toBe(Number.POSITIVE_INFINITY);
    expect(times).toEqual(Array.from({ length: count + 1 }, (_, i) => i + 1));
    expect(sender.unreceivedPs).toBe(Number.POSITIVE_INFINITY);
  });

  it('refuses acknowledgements of what was not sent', () => {
    const { sender } = makeChannel();
    expect(() => sender.acknowledge(1)).toThrow(/not sent/);
  });
});
