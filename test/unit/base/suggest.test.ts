/** Promise: unknown words get a "did you mean" that is right, or none at all. */

import { describe, expect, it } from 'vitest';
import { didYouMean, editDistance, suggest } from '../../../src/base/suggest.ts';

const MACHINES = ['graviton2_1p', 'graviton4_2p', 'ampere_altra_1p_q80', 'xeon_spr_2p'];

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['abc', '', 3],
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['ab', 'ba', 1],
    ['dramLocl', 'dramLocal', 1],
  ])('%s to %s is %d', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });

  it('does not compute on absurdly long words', () => {
    expect(editDistance('x'.repeat(100_000), 'y')).toBe(100_000);
  });
});

describe('suggest', () => {
  it.each([
    ['graviton4-2p', 'graviton4_2p'],
    ['gravitn4_2p', 'graviton4_2p'],
    ['GRAVITON4_2P', 'graviton4_2p'],
    ['graviton4', 'graviton4_2p'],
    ['xeon_sqr_2p', 'xeon_spr_2p'],
    ['ampere', 'ampere_altra_1p_q80'],
  ])('%s means %s', (word, meant) => {
    expect(suggest(word, MACHINES)).toBe(meant);
  });

  it.each(['', 'x', 'toaster', 'zzzzzzzzzzzz'])('has no guess for %s', (word) => {
    expect(suggest(word, MACHINES)).toBeUndefined();
    expect(didYouMean(word, MACHINES)).toBe('');
  });

  it('takes the closest of several', () => {
    expect(suggest('graviton3_2p', MACHINES)).toBe('graviton4_2p');
  });

  it('ends an error message', () => {
    expect(didYouMean('xeon_spr_2q', MACHINES)).toBe("; did you mean 'xeon_spr_2p'?");
  });
});
