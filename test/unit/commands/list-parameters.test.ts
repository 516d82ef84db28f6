/**
 * Promises: `list params` shows the defaults that a run really has: those of the workload over
 * those of the kernel version on the machine that is taken; profiles are listed part by part, with
 * what they set themselves.
 */

import { describe, expect, it } from 'vitest';
import { parameterGroups, parametersText } from '../../../src/commands/list-parameters.ts';

async function defaultOf(word: string, title: RegExp, key: string): Promise<string | undefined> {
  const group = (await parameterGroups(word)).find((candidate) => title.test(candidate.title));
  return group?.parameters.find(({ name }) => name === key)?.default;
}

describe('defaults', () => {
  it("of kernel options are the workload's own, and the machine's", async () => {
    expect(await defaultOf('text_fetch', /^kernel/, 'textSize')).toBe('8M');
    expect(await defaultOf('bpf_bench', /^kernel .* xeon_skylake/, 'allocator')).toBe(
      'execmem-rox',
    );
    expect(await defaultOf('bpf_load_storm', /^kernel/, 'allocator')).toBe('prog_pack');
    expect(await defaultOf('sockex_directmap', /^kernel/, 'allocator')).toBe('module_alloc');
  });

  it('of a profile are what it sets, part by part', async () => {
    expect(await defaultOf('mixed', /^loaders.KEY, of bpf_load_storm/, 'programs')).toBe('10');
    expect(await defaultOf('mixed', /^text.KEY, kernel/, 'textSize')).toBe('2M');
    expect(await defaultOf('mixed', /^guests.KEY, kernel/, 'faults')).toBe('parallel');
    expect(await parametersText('mixed')).toMatch(/guests\.KEY, of dirty_log_perf_test:\n/);
  });

  it('unknown names are refused', async () => {
    await expect(parameterGroups('mixd')).rejects.toThrow(/no workload is called 'mixd'/);
  });
});
