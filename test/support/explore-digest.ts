/**
 * What two runs of one schedule must agree on, as 16 hexadecimal digits: steps, values, memory that
 * changed, what each CPU counted. Any machine, any number of workers.
 */

import { hash32 } from '../../src/base/random.ts';
import type { Explorer } from '../../src/engine/explore/explorer.ts';

export function scheduleDigest(explorer: Explorer): string {
  let first = 0x6e756d61;
  let second = 0x6c6162;
  const add = (value: number): void => {
    first = hash32(first, value, second, 1);
    second = hash32(second, value, first, 2);
  };
  for (let i = 0; i < explorer.stepCount; i++) add(explorer.agents[i]!);
  for (const value of explorer.values) add(value);
  for (const line of explorer.memory.changedLines()) {
    add(line);
    for (let word = line * 16; word < line * 16 + 16; word++) add(explorer.memory.words[word]!);
  }
  for (const { marks, counters } of explorer.cpus) {
    add(marks);
    for (const count of counters) add(count);
  }
  return [first, second].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}
