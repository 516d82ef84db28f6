/** Promise: progress says rate and time left, on stderr only, and nothing with --quiet. */

import { describe, expect, it, vi } from 'vitest';
import { formatCount, Progress, type ProgressSink } from '../../../src/run/progress.ts';

function sink(isTerminal: boolean): ProgressSink & { readonly written: string[] } {
  const written: string[] = [];
  return { isTerminal, columns: 100, written, write: (text) => written.push(text) };
}

describe('progress', () => {
  it('adds up workers and tells rate and time left', () => {
    let now = 0;
    const progress = new Progress({ seeds: 2, operationsPerSeed: 1000 }, null, () => now);
    now = 2000;
    progress.progress(0, 0, 3_000_000, 300);
    progress.progress(0, 1, 2_000_000, 200);
    expect(progress.line()).toBe(
      '25 %, 0/2 seeds, 3.00 us emulated, 500 operations, 250/s, 6.0 s left',
    );
    progress.progress(1, 0, 1_000_000, 500);
    progress.seedFinished(0);
    expect(progress.line()).toMatch(/^50 %, 1\/2 seeds, .*2.0 s left$/);
  });

  it('redraws one line on a terminal, and wipes it; plain lines elsewhere', () => {
    vi.useFakeTimers();
    try {
      const terminal = sink(true);
      const plain = sink(false);
      const both = [terminal, plain].map(
        (out) => new Progress({ seeds: 1, operationsPerSeed: 0 }, out, () => 0),
      );
      vi.advanceTimersByTime(10_000);
      for (const progress of both) progress.stop();
      vi.advanceTimersByTime(10_000);
      expect(terminal.written).toHaveLength(51);
      expect(terminal.written[0]!.startsWith('\r')).toBe(true);
      expect(terminal.written[0]!.endsWith('\x1b[K')).toBe(true);
      expect(terminal.written.at(-1)).toBe('\r\x1b[K');
      expect(plain.written).toHaveLength(1);
      expect(plain.written[0]).toMatch(/^\d[\w ,./]+\n$/);
    } finally {
      vi.useRealTimers();
    }
  });

  it('writes large counts shortly', () => {
    expect([7, 1234, 1_234_567, 5e9].map(formatCount)).toEqual(['7', '1.23 k', '1.23 M', '5.00 G']);
  });
});
