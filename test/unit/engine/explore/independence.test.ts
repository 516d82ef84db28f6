/**
 * What the searches rest on: two steps that are said not to depend on each other (execution.ts) can
 * be taken in either order, and nothing tells which: the same memory, the same next steps, the same
 * agents that can go. Random states of locks that spin, sleep and interrupt each other.
 */

import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../../../src/base/random.ts';
import { dependent, type MemoryModel } from '../../../../src/engine/explore/execution.ts';
import { fromBoot } from '../../../../src/engine/explore/exhaustive/run-exhaustive.ts';
import type { Explorer } from '../../../../src/engine/explore/explorer.ts';
import { openLock } from '../../../support/open-lock.ts';

const DESCENTS = 2;
/** Memory is compared by these words of it: a lock's, its counts', the first queue nodes. */
const WORDS = 16384;

function stateOf(explorer: Explorer): string {
  const enabled = [...explorer.enabled.subarray(0, explorer.enabledCount)];
  const rows = [explorer.kind, explorer.hi, explorer.lo, explorer.bytes].map((row) => [...row]);
  const { words } = explorer.memory;
  let hash = 0;
  for (let at = 0; at < WORDS; at++) hash = (Math.imul(hash, 31) + words[at]!) | 0;
  return JSON.stringify([enabled, rows, hash]);
}

/** Takes the steps from the start; null: one of them can't be taken. */
function after(explorer: Explorer, agents: readonly number[], values: number[]): string | null {
  let at = 0;
  fromBoot(explorer)(() => values[at++] ?? 0);
  for (const agent of agents) {
    if (!explorer.isEnabled(agent)) return null;
    explorer.take(agent);
  }
  return stateOf(explorer);
}

function checkDescent(explorer: Explorer, stream: RandomStream): number {
  const agents: number[] = [];
  const values: number[] = [];
  fromBoot(explorer)((count) => {
    values.push(stream.below(count));
    return values.at(-1)!;
  });
  const pairs: [number, readonly [number, number]][] = [];
  while (explorer.enabledCount > 0) {
    const able = explorer.enabled.subarray(0, explorer.enabledCount);
    const a = able[stream.below(able.length)]!;
    const b = able[stream.below(able.length)]!;
    if (a !== b && !dependent(explorer, a, b)) pairs.push([agents.length, [a, b]]);
    agents.push(a);
    explorer.take(a);
  }
  for (const [length, [a, b]] of pairs) {
    const prefix = agents.slice(0, length);
    const one = after(explorer, [...prefix, a, b], values);
    expect(one).not.toBeNull();
    expect(after(explorer, [...prefix, b, a], values)).toBe(one);
  }
  return pairs.length;
}

describe('steps that do not depend on each other commute', () => {
  const models: readonly MemoryModel[] = ['sc', 'tso'];
  // No deadlines in these: a choice inside a step would be another one in another order.
  it.each(['qspinlock', 'clh', 'mutex-nospin', 'futex', 'rtmutex', 'rwsem-nospin'])(
    '%s',
    (name) => {
      for (const model of models) {
        const { explorer } = openLock(name, model, 3, 2);
        const stream = new RandomStream(1, name, 0);
        let pairs = 0;
        for (let descent = 0; descent < DESCENTS; descent++)
          pairs += checkDescent(explorer, stream);
        expect(pairs).toBeGreaterThan(DESCENTS);
      }
    },
  );
});
