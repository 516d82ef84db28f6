/** Promise: results match their schema, and the shipped JSON schema is up to date. */

import { describe, expect, it } from 'vitest';
import { resultJsonSchemaText, runResultSchema } from '../../../src/metrics/result-schema.ts';
import { runFiles } from '../../../src/metrics/run-files.ts';
import { sampleResult, sampleSeed } from './sample-result.ts';

const seeds = [sampleSeed(1, 1), sampleSeed(2, 1)];
const result = sampleResult(seeds, 'c'.repeat(64));

describe('result of a run', () => {
  it('keeps to the schema after a round trip through JSON', () => {
    expect(runResultSchema.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
  });

  it('refuses unknown, missing and misshapen fields', () => {
    expect(runResultSchema.safeParse({ ...result, extra: 1 }).success).toBe(false);
    expect(runResultSchema.safeParse({ ...result, digest: 'abc' }).success).toBe(false);
    const { seeds: _, ...without } = result;
    expect(runResultSchema.safeParse(without).success).toBe(false);
  });

  it('has a shipped JSON schema that is up to date (vitest -u rewrites it)', async () => {
    await expect(resultJsonSchemaText()).toMatchFileSnapshot('../../../src/run/result.schema.json');
  });

  it('is written as result.json, one .hlog and one .hgrm per metric', async () => {
    const files = await runFiles(result, seeds);
    expect(files.map(({ name }) => name)).toEqual([
      'result.json',
      'latency.hlog',
      'fault.service.hgrm',
      'fault.lockWait.hgrm',
      'fault.walk.hgrm',
    ]);
    expect(JSON.parse(files[0]!.text)).toEqual(result);
    expect(files[2]!.text).toMatch(/Total count {4}= +5000\]/);
  });
});
