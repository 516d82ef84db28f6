/** From files to rings: every CPU gets its records in order, whatever the others do. */

import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BugError, InterruptedError, UserError } from '../../../src/base/errors.ts';
import { TraceReader } from '../../../src/trace/reader-thread.ts';
import { createRing, RingEnd, RingReader, RingWriter, stopRing } from '../../../src/trace/ring.ts';
import { recordsOf } from '../../../src/trace/scanned-trace.ts';
import { recordsOfCpu, scan, TraceFolder } from './traces.ts';

let folder: TraceFolder;
beforeAll(() => {
  folder = new TraceFolder();
});
afterAll(() => folder.remove());

/** CPU c has records at c * 64 K, c * 64 K + 8, ... */
function interleaved(cpus: number, each: number): string {
  const lines: string[] = [];
  for (let i = 0; i < each; i++) {
    for (let cpu = 0; cpu < cpus; cpu++)
      lines.push(`${cpu} 0 ${(cpu * 65536 + 8 * i).toString(16)}`);
  }
  return lines.join('\n');
}

describe('a feed', () => {
  it('gives each CPU of an interleaved file its own records, in order', async () => {
    const text = interleaved(3, 2000);
    for (const file of [folder.write('a', text), folder.write('a.gz', gzipSync(text))]) {
      const trace = await scan(file);
      expect(trace.recordsOfCpu).toEqual([2000, 2000, 2000]);
      const accesses = await recordsOfCpu(trace, 2);
      expect(accesses.map(({ address }) => address)).toEqual(
        Array.from({ length: 2000 }, (_, i) => 2 * 65536 + 8 * i),
      );
    }
  });

  it('reads one file per CPU, and all of it per pass', async () => {
    const files = [folder.write('0', ' L 0,8\n'), folder.write('1', ' S 8,8\n L 10,8\n')];
    const trace = await scan(...files);
    expect(recordsOf(trace)).toBe(3);
    expect((await recordsOfCpu(trace, 1, 3)).map(({ address }) => address)).toEqual([
      8, 16, 8, 16, 8, 16,
    ]);
  });

  it('is complete for a CPU while another takes nothing', async () => {
    const trace = await scan(folder.write('long', interleaved(2, 60_000)));
    const reader = new TraceReader(trace, 1);
    const ring = new RingReader(reader.feed.rings[1]!, 'test');
    let taken = 0;
    while (ring.next()) taken++;
    await reader.close();
    expect(taken).toBe(60_000);
  });

  it('ends with one line when contents have changed', async () => {
    const trace = await scan(folder.write('b', ' L 0,8\n L 8,8\n'));
    for (const contents of [' L 0,8\n L 9,8\n', ' L 0,8\n', ' L 0,8\nwords\n', '']) {
      folder.write('b', contents);
      await expect(recordsOfCpu(trace, 0)).rejects.toThrow(
        /^b: changed while it was run; expected the same contents to the end$/,
      );
    }
  });
});

describe('a ring', () => {
  it('says what ended it', () => {
    const failing = (end: number): RingReader => {
      const ring = createRing(1024);
      new RingWriter(ring).end(end, 'größer als erlaubt');
      return new RingReader(ring, 'r');
    };
    expect(failing(RingEnd.Done).next()).toBe(false);
    expect(() => failing(RingEnd.Failed).next()).toThrow(new UserError('größer als erlaubt'));
    expect(() => failing(RingEnd.Bug).next()).toThrow(BugError);
    const stopped = createRing(1024);
    stopRing(stopped);
    expect(() => new RingReader(stopped, 'r').next()).toThrow(InterruptedError);
  });

  it('never holds more than its capacity, and hands over all of it in order', () => {
    const ring = createRing(2048);
    const writer = new RingWriter(ring);
    const reader = new RingReader(ring, 'r');
    const batch = Int32Array.from({ length: 6000 }, (_, i) => i);
    expect(writer.write(batch, 0, 3000)).toBe(2048);
    expect(writer.write(batch, 2048, 3000)).toBe(0);
    for (let i = 0; i < 1024; i++) reader.next();
    expect(writer.write(batch, 2048, 3000)).toBe(952);
    for (let i = 1024; i < 3000; i++) {
      reader.next();
      expect(reader.lo).toBe(2 * i);
    }
    writer.end(RingEnd.Done);
    expect(reader.next()).toBe(false);
  });
});
