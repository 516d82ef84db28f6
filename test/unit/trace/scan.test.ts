/** Files that are no traces, and that memory does not follow a trace's length. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordsOf, type TraceFile } from '../../../src/trace/scanned-trace.ts';
import { scan, TraceFolder } from './traces.ts';

let folder: TraceFolder;
beforeAll(() => {
  folder = new TraceFolder();
});
afterAll(() => folder.remove());

async function refused(file: TraceFile | readonly TraceFile[], message: RegExp): Promise<void> {
  const files = Array.isArray(file) ? file : [file as TraceFile];
  await expect(scan(...files)).rejects.toThrow(message);
}

const TEXT = ' L 1000,8\n'.repeat(5000);

describe('a scan', () => {
  it('counts records and pages, and hashes the file as it is', async () => {
    const trace = await scan(folder.write('a', '3 L 1000,8\n0 S 2fff,2\n3 M 2000,8\n'));
    expect(trace.recordsOfCpu).toEqual([1, 0, 0, 2]);
    expect(trace.pages.count).toBe(3);
    expect([...new Uint16Array(trace.pages.cpus)]).toEqual([3, 0, 0]);
    expect(trace.highestCpuAt).toBe('a:1');
    const zipped = await scan(folder.write('a.gz', gzipSync(TEXT)));
    const plain = await scan(folder.write('a.txt', TEXT));
    expect(zipped.recordsOfCpu).toEqual(plain.recordsOfCpu);
    expect(zipped.files[0]!.sha256).not.toBe(plain.files[0]!.sha256);
  });

  it('refuses files that are none, one line each', async () => {
    const zipped = gzipSync(TEXT);
    const broken = Uint8Array.from(zipped);
    broken[20]! ^= 0xff;
    mkdirSync(join(folder.path, 'folder'));
    await refused(folder.write('empty', ''), /^empty: is empty; expected a trace/);
    await refused(folder.write('blank', '\n# nothing\n'), /^blank: has no record; expected/);
    await refused(folder.write('cut.gz', zipped.subarray(0, 40)), /^cut.gz: the gzip data is cut/);
    await refused(folder.write('head.gz', zipped.subarray(0, 2)), /^head.gz: the gzip data is cut/);
    await refused(folder.write('bad.gz', broken), /^bad.gz: broken gzip data \(/);
    await refused(folder.write('empty.gz', gzipSync('')), /^empty.gz: has no record/);
    await refused({ file: 'none', path: join(folder.path, 'none') }, /^none: no such file$/);
    await refused({ file: 'f', path: join(folder.path, 'folder') }, /^f: is a folder; expected/);
    await refused(
      { file: '/dev/zero', path: '/dev/zero' },
      /is no regular file .* write the trace/,
    );
    await refused(
      [folder.write('x', '0 L 0,8\n'), folder.write('y', ' L 0,8\n')],
      /^x: has a CPU column, and 2 files are given; expected/,
    );
  });

  it('takes memory for pages, not for length', async () => {
    // 40 MB of text: members of a gzip file follow each other.
    const member = gzipSync(' L 1000,8\n'.repeat(100_000));
    const long = Buffer.concat(Array.from({ length: 40 }, () => member));
    const file = folder.write('long.gz', long);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const live = (): number => {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const before = live();
    let peak = 0;
    let timer = setTimeout(function look() {
      peak = Math.max(peak, live() - before);
      timer = setTimeout(look, 200);
    }, 50);
    const trace = await scan(file);
    clearTimeout(timer);
    expect(recordsOf(trace)).toBe(4_000_000);
    expect(trace.pages.count).toBe(1);
    expect(peak).toBeLessThan(20e6);
  });
});
