/** Lock files as users write them: good ones, wrong ones, and each way to misuse the contract. */

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const HEAD = "export const name = 'mine';\nexport const wordBytes = 4;\n";
const RELEASE =
  'export function* release(cpu, hi, lo) {\n' +
  '  while (!cpu.store32(hi, lo, 0, cpu.api.Order.Release)) yield;\n}\n';

function acquire(body: string): string {
  return `${HEAD}export function* acquire(cpu, hi, lo) {\n  ${body}\n}\n${RELEASE}`;
}

export const TAS = acquire(`const { Order, Condition } = cpu.api;
  for (;;) {
    while (!cpu.swap32(hi, lo, 1, Order.Acquire)) yield;
    if (cpu.lo === 0) return;
    while (!cpu.cond32(hi, lo, Condition.Equal, -1, 0, Order.Relaxed)) yield;
  }`);

/** Taken by a load and a store. */
export const BROKEN = acquire(`const { Order, Condition } = cpu.api;
  while (!cpu.cond32(hi, lo, Condition.Equal, -1, 0, Order.Acquire)) yield;
  while (!cpu.store32(hi, lo, 1, Order.Relaxed)) yield;`);

/** File name, contents, what is said about it. */
export const MISUSES: readonly (readonly [string, string, RegExp])[] = [
  ['throws.mjs', "throw new Error('boom');", /throws.mjs: throws on import: Error: boom/],
  ['syntax.mjs', 'export const = 3;', /syntax.mjs: throws on import: SyntaxError/],
  ['nothing.mjs', '', /nothing.mjs: exports no name; a lock file exports/],
  ['bytes.mjs', TAS.replace('= 4', '= 7'), /bytes.mjs: wordBytes is 7; export a multiple of 4/],
  [
    'promise.mjs',
    `${HEAD}${RELEASE}export async function acquire() {}`,
    /promise.mjs: acquire returned a promise instead of a generator/,
  ],
  [
    'noyield.mjs',
    acquire('while (!cpu.swap32(hi, lo, 1, 1));'),
    /noyield.mjs: acquire repeats swap32 without yielding/,
  ],
  [
    'yields.mjs',
    acquire("while (!cpu.swap32(hi, lo, 1, 1)) yield 'x';"),
    /yields.mjs: acquire yields 'x'; yield nothing, or a generator/,
  ],
  [
    'changes.mjs',
    acquire('for (let i = 1; !cpu.swap32(hi, lo, i, 1); i++) yield;'),
    /changes.mjs: acquire changes an attempt after a refusal: swap32/,
  ],
  [
    'foreign.mjs',
    acquire('while (!cpu.store32(hi, lo + 64, 1, 1)) yield;'),
    /foreign.mjs: acquire writes with store32 to 0x\w+, which it does not own/,
  ],
  [
    'hangs.mjs',
    acquire('for (;;);'),
    /hangs.mjs: acquire never yields: it blocked outside an operation/,
  ],
  [
    'contended.mjs',
    // Wrong only when somebody else holds the lock: no trial alone can see it.
    acquire('while (!cpu.swap32(hi, lo, 1, 1)) yield; if (cpu.lo !== 0) yield 1;'),
    /contended.mjs: acquire yields 1; yield nothing/,
  ],
];

export function lockFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'numalab-locks-'));
  writeFileSync(join(folder, 'tas.mjs'), TAS);
  writeFileSync(join(folder, 'broken.mjs'), BROKEN);
  for (const [file, text] of MISUSES) writeFileSync(join(folder, file), text);
  return folder;
}
