/** Promise: what yargs accepts silently (repeats, missing values, unknown names) is refused. */

import { describe, expect, it } from 'vitest';
import { splitVariant } from '../../../src/commands/compare.ts';
import { checkArguments, RUN_OPTIONS } from '../../../src/commands/options.ts';
import { splitWords } from '../../../src/commands/request.ts';

const check = (argv: Record<string, unknown>) => checkArguments(argv, [], RUN_OPTIONS, 'run');

describe('options', () => {
  it('takes values as text', () => {
    const { values, repeated } = check({ cpus: '4', c: '4', json: true, set: ['a=1', 'b=2'] });
    expect([...values]).toEqual([
      ['cpus', '4'],
      ['json', 'on'],
    ]);
    expect(repeated.get('set')).toEqual(['a=1', 'b=2']);
  });

  it('refuses repeats, missing values, values of switches and unknown names', () => {
    expect(() => check({ cpus: ['4', '8'] })).toThrow('--cpus is given 2 times; give it once');
    expect(() => check({ cpus: '' })).toThrow('--cpus needs a value: --cpus N|LIST');
    expect(() => check({ json: 'no' })).toThrow('--json takes no value');
    expect(() => check({ json: false })).toThrow('--json takes no value');
    expect(() => check({ json: [true, false] })).toThrow('--json takes no value');
    expect(() => check({ cpuss: '4' })).toThrow("run has no option --cpuss; did you mean 'cpus'?");
    expect(() => check({ x: true })).toThrow("run has no option -x; 'numalab run --help'");
  });
});

describe('words', () => {
  it('are a workload and parameters', () => {
    expect(splitWords(['w', 'a=1'])).toEqual({ workload: 'w', assignments: ['a=1'] });
    expect(splitWords(['a=1'])).toEqual({ workload: undefined, assignments: ['a=1'] });
    expect(splitWords([])).toEqual({ workload: undefined, assignments: [] });
  });

  it('of a variant are joined by commas, which values may have, too', () => {
    expect(splitVariant('a=1,b=2')).toEqual(['a=1', 'b=2']);
    expect(splitVariant('sizes=64K,1M,n=3')).toEqual(['sizes=64K,1M', 'n=3']);
    expect(() => splitVariant('fast')).toThrow(/no variant/);
  });
});
