/** What the watch of the instruction side calls stale, and what it leaves alone. */

import { describe, expect, it } from 'vitest';
import { TextWatch } from '../../../src/checkers/text-watch.ts';

const LINE = 0x1040;

/** Executes a line whose words were taken at 10, after what `between` tells. */
function stale(between: (watch: TextWatch) => void): number {
  const watch = new TextWatch(3);
  watch.taken(0, LINE, 10);
  between(watch);
  watch.begins(0, LINE + 8, false);
  watch.executed(100);
  return watch.findings.count;
}

describe('text-watch', () => {
  it('finds words older than IC and synchronisation', () => {
    const found = stale((watch) => {
      watch.invalidated(0, LINE + 60, 20);
      watch.synchronised(30);
    });
    expect(found).toBe(1);
  });

  it('takes the effect of another CPU, not the own clock', () => {
    const found = (effectPs: number): number =>
      stale((watch) => {
        watch.arrives(effectPs);
        watch.allInvalidated(50);
        watch.synchronised(30);
      });
    expect(found(20)).toBe(1);
    expect(found(40)).toBe(0);
  });

  it('is silent before synchronisation, about other lines and about new words', () => {
    expect(stale((watch) => watch.invalidated(0, LINE, 20))).toBe(0);
    const other = stale((watch) => {
      watch.invalidated(0, LINE + 64, 20);
      watch.synchronised(30);
    });
    expect(other).toBe(0);
    const fresh = stale((watch) => {
      watch.invalidated(0, LINE, 20);
      watch.taken(0, LINE, 25);
      watch.synchronised(30);
    });
    expect(fresh).toBe(0);
  });

  it('says where', () => {
    const watch = new TextWatch(3);
    watch.taken(64, LINE, 10);
    watch.invalidated(64, LINE, 20_000);
    watch.synchronised(30_000);
    watch.begins(64, LINE, false);
    watch.executed(40_000);
    expect(watch.findings.violations).toEqual([
      {
        rule: 'stale-text',
        timePs: 40_000,
        cpus: [3],
        text:
          'executes words taken before the instruction cache was invalidated at 20 ns, ' +
          'after synchronising its context',
        space: 'physical',
        hi: 64,
        lo: LINE,
      },
    ]);
  });
});
