/**
 * Promise: colour and Unicode follow the option, the environment and the terminal, in that order.
 */

import { describe, expect, it } from 'vitest';
import { chooseColor, chooseUnicode, paint } from '../../../src/report/color.ts';

describe('colour: --color > NO_COLOR > FORCE_COLOR > terminal', () => {
  it.each([
    ['always', { NO_COLOR: '1', TERM: 'dumb' }, false, true],
    ['never', { FORCE_COLOR: '1' }, true, false],
    ['auto', { NO_COLOR: '1', FORCE_COLOR: '1', TERM: 'xterm' }, true, false],
    ['auto', { NO_COLOR: '', TERM: 'xterm' }, true, true],
    ['auto', { FORCE_COLOR: '1' }, false, true],
    ['auto', { FORCE_COLOR: '0', TERM: 'xterm' }, true, false],
    ['auto', { TERM: 'xterm' }, true, true],
    ['auto', { TERM: 'dumb' }, true, false],
    ['auto', { TERM: 'xterm' }, false, false],
  ] as const)('%s with %o, terminal %s: %s', (option, environment, isTty, expected) => {
    expect(chooseColor(option, environment, isTty)).toBe(expected);
  });

  it('puts no escape into text unless told', () => {
    expect(paint('x', 'red', { width: 80, color: false, unicode: true })).toBe('x');
    expect(paint('x', 'red', { width: 80, color: true, unicode: true })).toContain('\u001b[31m');
  });
});

describe('block characters', () => {
  it.each([
    [{ LANG: 'en_US.UTF-8' }, true],
    [{ LANG: 'C.utf8' }, true],
    [{ LC_ALL: 'C', LANG: 'en_US.UTF-8' }, false],
    [{ LC_ALL: '', LC_CTYPE: 'de_DE.UTF-8', LANG: 'C' }, true],
    [{}, false],
  ])('%o: %s', (environment, expected) => {
    expect(chooseUnicode(environment)).toBe(expected);
  });
});
