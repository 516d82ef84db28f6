/**
 * Style as a test: who imports whom, sizes, names, and what must not occur in the model. A failure
 * lists `file:line: what is wrong`, one per line; there are no exemptions beside those that the
 * rules name.
 */

import { describe, expect, it } from 'vitest';
import { readProject, type SourceFile } from './project.ts';
import { unknownRooms, wrongArrows } from './rooms.ts';
import {
  defaultExports,
  leftovers,
  longFunctions,
  moduleState,
  notErasable,
  outsideInfluences,
} from './syntax-rules.ts';
import {
  badNames,
  deadFiles,
  longFiles,
  longLines,
  roomsWithoutReadme,
  staleReadmes,
  strangersAtTheTop,
  unknownRules,
  withoutOpeningComment,
} from './text-rules.ts';

const files = readProject();

function expectNone(findings: readonly string[]): void {
  if (findings.length > 0) expect.fail(`${findings.length} found\n${findings.join('\n')}`);
}

function inAll(rule: (file: SourceFile) => string[]): void {
  expectNone(files.flatMap(rule));
}

describe('the house', () => {
  it('keeps the direction of imports', () => expectNone(wrongArrows(files)));
  it('has no room without a place in the table', () => expectNone(unknownRooms(files)));
  it('has no file that the program never reaches', () => expectNone(deadFiles(files)));
  it('explains every large room in a README.md', () => expectNone(roomsWithoutReadme(files)));
  it('names only files that exist in READMEs', () => expectNone(staleReadmes()));
  it('explains every engine rule that is cited', () => expectNone(unknownRules(files)));
  it('has nothing at the top level beside the rooms', () => expectNone(strangersAtTheTop()));
});

describe('sizes', () => {
  it('has no file above 400 lines', () => inAll(longFiles));
  it('has no function of 70 lines or more', () => inAll(longFunctions));
  it('has no line above 100 columns', () => inAll(longLines));
});

describe('form', () => {
  it('opens every file with a comment', () => inAll(withoutOpeningComment));
  it('names files in kebab-case', () => inAll(badNames));
  it('has default exports only where a loader wants them', () => inAll(defaultExports));
  it('has no enum, namespace or parameter property', () => inAll(notErasable));
  it('has no leftovers', () => inAll(leftovers));
});

describe('the model', () => {
  it('takes nothing from outside: clock, chance, BigInt', () => inAll(outsideInfluences));
  it('keeps no state in modules', () => inAll(moduleState));
});
