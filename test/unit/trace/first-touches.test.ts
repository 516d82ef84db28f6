/** Pages in order of first touch, against a plain map. */

import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../../src/base/random.ts';
import { FirstTouches, pageOfKey, spaceOfKey } from '../../../src/trace/first-touches.ts';
import { CPU_SHIFT } from '../../../src/trace/record.ts';

interface Touch {
  readonly page: number;
  readonly cpu: number;
}

function batch(touches: readonly Touch[]): Int32Array {
  return Int32Array.from(
    touches.flatMap(({ page, cpu }) => [
      (page % 2 ** 20) << 12,
      Math.floor(page / 2 ** 20) | (cpu << CPU_SHIFT),
    ]),
  );
}

function order(touches: FirstTouches) {
  const { keys, cpus, count } = touches.finish();
  const [keyOf, cpuOf] = [new Float64Array(keys), new Uint16Array(cpus)];
  return Array.from({ length: count }, (_, i) => ({
    page: pageOfKey(keyOf[i]!),
    space: spaceOfKey(keyOf[i]!),
    cpu: cpuOf[i]!,
  }));
}

describe('first touches', () => {
  it('are those of a plain map, also when the table has grown', () => {
    const random = new RandomStream(1, 'pages', 0);
    const touches = Array.from({ length: 30_000 }, () => ({
      page: random.below(2) * 0xf_ffff_0000 + random.below(12_000),
      cpu: random.below(1024),
    }));
    const plain = new Map<number, number>();
    for (const { page, cpu } of touches) if (!plain.has(page)) plain.set(page, cpu);
    const table = new FirstTouches(false);
    for (let at = 0; at < touches.length; at += 1000) {
      table.touch(batch(touches.slice(at, at + 1000)), 1000, at);
    }
    expect(order(table)).toEqual([...plain].map(([page, cpu]) => ({ page, space: 0, cpu })));
  });

  it('of files without a common order go by place in the file, then by CPU', () => {
    const table = new FirstTouches(false);
    const files = [
      [10, 11, 12],
      [12, 10, 13],
    ];
    files.forEach((pages, cpu) => {
      table.beginFile();
      table.touch(batch(pages.map((page) => ({ page, cpu }))), pages.length, 0);
    });
    expect(order(table).map(({ page, cpu }) => [page, cpu])).toEqual([
      [10, 0],
      [12, 1],
      [11, 0],
      [13, 1],
    ]);
  });

  it('are told apart by space', () => {
    const table = new FirstTouches(true);
    table.touch(batch([0, 1, 1].map((cpu) => ({ page: 2 ** 36 - 1, cpu }))), 3, 0);
    expect(order(table)).toEqual([
      { page: 2 ** 36 - 1, space: 0, cpu: 0 },
      { page: 2 ** 36 - 1, space: 1, cpu: 1 },
    ]);
  });
});
