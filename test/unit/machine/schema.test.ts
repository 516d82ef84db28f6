/** Promise: the JSON schema that ships for editors is the one that machine files are checked by. */

import { expect, it } from 'vitest';
import { profileJsonSchema, profileSchema } from '../../../src/machine/schema.ts';

it('machine.schema.json is up to date (vitest -u on this file writes it)', async () => {
  const path = '../../../src/machine/machine.schema.json';
  await expect(profileJsonSchema()).toMatchFileSnapshot(path);
});

it('accepts bare values, values with units and values in full', () => {
  const check = (raw: unknown) => profileSchema().safeParse(raw).success;
  expect(check({ clock: 3 })).toBe(true);
  expect(check({ clock: '3000 MHz' })).toBe(true);
  expect(
    check({ clock: { value: 3, unit: 'GHz', source: 'lscpu', confidence: 'published' } }),
  ).toBe(true);
  expect(check({ features: { bbm: 2, vmidBits: 16 } })).toBe(true);
  expect(check({ features: { bbm: '2-noabort' } })).toBe(true);
  expect(check({ features: { vmidBits: 12 } })).toBe(false);
  expect(check({ caches: { l2: { ways: 1.5 } } })).toBe(false);
  expect(check({ costs: { syscall: 0 } })).toBe(true);
  expect(check({ latency: { dramLocal: 0 } })).toBe(false);
});
