/**
 * `npm run trace:make`: writes the traces of workloads/traces, from programs of this folder. One is
 * a lackey trace of one CPU, with instructions; the other a din trace of four CPUs in one file.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { packageRoot } from '../../src/base/package-root.ts';
import { countWords, multiplyMatrices, sortTogether, type TraceSink } from './kernels.ts';

export const TRACES = new URL('workloads/traces/', packageRoot());

/** As valgrind prints: addresses have at least eight digits. */
function lackeySink(lines: string[]): TraceSink {
  const hex = (address: number): string => address.toString(16).padStart(8, '0');
  const data =
    (letter: string) =>
    (_cpu: number, address: number, bytes: number): void => {
      lines.push(` ${letter} ${hex(address)},${bytes}`);
    };
  return {
    fetch: (_cpu, address) => lines.push(`I  ${hex(address)},4`),
    load: data('L'),
    store: data('S'),
    modify: data('M'),
  };
}

function dinSink(lines: string[]): TraceSink {
  const access =
    (label: number) =>
    (cpu: number, address: number): void => {
      lines.push(`${cpu} ${label} ${address.toString(16)}`);
    };
  return { fetch: access(2), load: access(0), store: access(1), modify: access(1) };
}

export function kernelsTrace(): string {
  const lines = ['==1== As of valgrind --tool=lackey --trace-mem=yes; npm run trace:make'];
  const sink = lackeySink(lines);
  multiplyMatrices(sink, 30);
  countWords(sink, 8192, 4000);
  return `${lines.join('\n')}\n`;
}

export function sortTrace(): string {
  const lines = ['# CPU, label, address; npm run trace:make'];
  sortTogether(dinSink(lines), 4, 512);
  return `${lines.join('\n')}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  mkdirSync(TRACES, { recursive: true });
  for (const [name, text] of [
    ['kernels.lackey.gz', kernelsTrace()],
    ['sort.din.gz', sortTrace()],
  ] as const) {
    const zipped = gzipSync(text, { level: 9 });
    writeFileSync(new URL(name, TRACES), zipped);
    const records = text.split('\n').length - 2;
    process.stdout.write(`${name}: ${records} records, ${zipped.length} bytes\n`);
  }
}
