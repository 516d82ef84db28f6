/** Text to accesses: both formats, whatever the cut into chunks, and one line for what is wrong. */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { CHUNK_BYTES, TraceDecoder } from '../../../src/trace/decoder.ts';
import { CPU_SHIFT, Kind } from '../../../src/trace/record.ts';
import { type Access, accessOf } from './traces.ts';

interface Decoded extends Access {
  readonly cpu: number;
}

function decode(text: string, chunkBytes = CHUNK_BYTES, onlyCpu = -1): Decoded[] {
  const decoder = new TraceDecoder('a.txt', 0, onlyCpu);
  const bytes = Buffer.from(text, 'latin1');
  const accesses: Decoded[] = [];
  const take = (): void => {
    for (let count = decoder.next(); count > 0; count = decoder.next()) {
      for (let i = 0; i < count; i++) {
        const [lo, hi] = [decoder.entries[2 * i]!, decoder.entries[2 * i + 1]!];
        accesses.push({ ...accessOf(lo, hi), cpu: hi >>> CPU_SHIFT });
      }
    }
  };
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    decoder.accept(bytes.subarray(at, at + chunkBytes));
    take();
  }
  decoder.finish();
  take();
  return accesses;
}

function refusal(text: string, chunkBytes?: number): string {
  try {
    decode(text, chunkBytes);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  return 'nothing is wrong';
}

const one = (kind: number, address: number, cpu = 0, isLast = true): Decoded => ({
  kind,
  address,
  cpu,
  isLast,
});

describe('lackey', () => {
  const text = '==7== words\nI  04001020,3\n L 1ffeffe7e8,8\r\n S 1FFEFFE7F4,4\n\n M 10,8';

  it('has fetches, loads, stores and modifies, at multiples of 8 bytes', () => {
    expect(decode(text)).toEqual([
      one(Kind.Fetch, 0x4001020),
      one(Kind.Load, 0x1ffeffe7e8),
      one(Kind.Store, 0x1ffeffe7f0),
      one(Kind.ModifyLoad, 0x10),
      one(Kind.Store, 0x10),
    ]);
  });

  it('is the same in chunks of any size', () => {
    for (let size = 1; size < 40; size++) expect(decode(text, size)).toEqual(decode(text));
  });

  it('cuts what crosses lines, also beyond 4 GiB', () => {
    expect(decode(' L ffffffff,66\n')).toEqual([
      one(Kind.Load, 0xfffffff8, 0, false),
      one(Kind.Load, 0x1_0000_0000, 0, false),
      one(Kind.Load, 0x1_0000_0040),
    ]);
    expect(decode(' S 1c,4\n S 3c,4\n S 3d,4\n')).toHaveLength(4);
    expect(decode(' M 3f,4096\n')).toHaveLength(2 * 65);
    expect(decode(' L ffffffffffff,1\n')).toEqual([one(Kind.Load, 0xffff_ffff_fff8)]);
  });

  it('takes a CPU column, and can leave out other CPUs', () => {
    const mixed = '0 I  1000,4\n3  L 2000,8\n0 L 3000,8\n1023  S 4000,8\n';
    expect(decode(mixed).map(({ cpu }) => cpu)).toEqual([0, 3, 0, 1023]);
    expect(decode(mixed, 7, 3)).toEqual([one(Kind.Load, 0x2000, 3)]);
  });
});

describe('din', () => {
  it('has labels 0, 1 and 2, and no sizes', () => {
    expect(decode('0 1000\n1 103f\n2 ffffffffffff\n')).toEqual([
      one(Kind.Load, 0x1000),
      one(Kind.Store, 0x1038),
      one(Kind.Fetch, 0xffff_ffff_fff8),
    ]);
  });

  it('takes a CPU column', () => {
    expect(decode('5 0 1000\n 6\t1 1000\n')).toEqual([
      one(Kind.Load, 0x1000, 5),
      one(Kind.Store, 0x1000, 6),
    ]);
    expect(decode('5 0 1000\n6 1 1000\n', 3, 6)).toEqual([one(Kind.Store, 0x1000, 6)]);
  });
});

describe('what is wrong', () => {
  it.each([
    ['hello\n', /^a.txt:1: 'hello' is no record; expected a lackey record such as .* din /],
    [' L 10,8\n\n L 20\n', /^a.txt:3: ' L 20' is no record; expected a lackey record/],
    [' L 10,8\n0 1000\n', /^a.txt:2: '0 1000' is no record; .* as in the lines before/],
    ['0 1000\n L 10,8\n', /^a.txt:2: ' L 10,8' is no record; expected a din record/],
    ['0 1000\n3 1000\n', /^a.txt:2: '3 1000' is no record/],
    ['0  L 10,8\n L 10,8\n', /^a.txt:2: .* after a CPU number/],
    [' L 10,8\n L 1000000000000,8\n', /^a.txt:2: .*the address is beyond 48 bits/],
    [' L fffffffffffff0000000,8\n', /^a.txt:1: .*beyond 48 bits/],
    [' L ffffffffffff,2\n', /^a.txt:1: .*beyond 48 bits/],
    ['0 1000000000000\n', /^a.txt:1: .*beyond 48 bits/],
    [' L 10,0\n', /^a.txt:1: .*the size is none of 1 to 4096 bytes/],
    [' L 10,4097\n', /^a.txt:1: .*the size is none of 1 to 4096 bytes/],
    ['1024 L 10,4\n', /^a.txt:1: .*the CPU is none of 0 to 1023/],
    ['0 L 10,4\n99999999999999999999 L 10,4\n', /^a.txt:2: .*the CPU is none of 0 to 1023/],
    ['\x00\x01\x02ELF\xff\n', /^a.txt:1: '\?\?\?ELF.' is no record/],
    [' L 10,8 junk\n', /^a.txt:1: .* is no record/],
  ])('%j', (text, message) => {
    expect(refusal(text)).toMatch(message);
    expect(refusal(text, 5)).toMatch(message);
  });

  it('is a line without an end, in bounded memory', () => {
    const long = 'x'.repeat(10_000_000);
    for (const text of [long, ` L 10,8\n==${long}`, ` L 10,8\n L ${'0'.repeat(1e6)}10,8\n`]) {
      expect(refusal(text)).toMatch(/^a.txt:[12]: a line of more than 4096 bytes; expected one/);
    }
  });
});
