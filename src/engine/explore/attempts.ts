/** The attempts of the CPU interface as numbers: name, kind of step, bytes of each. */

import { StepKind } from './execution.ts';

export const Op = {
  None: 0,
  Load32: 1,
  Load64: 2,
  Store32: 3,
  Store64: 4,
  Cas32: 5,
  Cas64: 6,
  Swap32: 7,
  Swap64: 8,
  Add32: 9,
  Add64: 10,
  Set32: 11,
  Clear32: 12,
  Load8: 13,
  Store8: 14,
  Store16: 15,
  Swap16: 16,
  Cond32: 17,
  Cond32Until: 18,
  ZeroLine: 19,
  CleanInvalidateLine: 20,
  ZeroPage: 21,
  CopyPage: 22,
  CleanInvalidatePage: 23,
  Fetch: 24,
  Fence: 25,
  Translate: 26,
  Tlbi: 27,
  Dsb: 28,
  Ipi: 29,
  Wake: 30,
  Idle: 31,
  SetRoot: 32,
  /** A bare yield: no attempt at all. */
  Pause: 33,
  CleanLineToPou: 34,
  /** IC IVAU: a TLBI with a memory address. */
  InvalidateText: 35,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

const { Read, Write, Update, Await, Other } = StepKind;

/** By Op. Bytes 0: the operand is no address of an access. */
const TABLE: readonly (readonly [string, StepKind, number])[] = [
  ['none', StepKind.None, 0],
  ['load32', Read, 4],
  ['load64', Read, 8],
  ['store32', Write, 4],
  ['store64', Write, 8],
  ['cas32', Update, 4],
  ['cas64', Update, 8],
  ['swap32', Update, 4],
  ['swap64', Update, 8],
  ['add32', Update, 4],
  ['add64', Update, 8],
  ['set32', Update, 4],
  ['clear32', Update, 4],
  ['load8', Read, 1],
  ['store8', Write, 1],
  ['store16', Write, 2],
  ['swap16', Update, 2],
  ['cond32', Await, 4],
  ['cond32Until', Await, 4],
  ['zeroLine', Update, 64],
  ['cleanInvalidateLine', Read, 64],
  ['zeroPage', Update, 64],
  ['copyPage', Update, 64],
  ['cleanInvalidatePage', Read, 64],
  ['fetch', Read, 4],
  ['fence', StepKind.Fence, 0],
  ['translate', Other, 0],
  ['tlbi', StepKind.Tlbi, 0],
  ['dsb', StepKind.Dsb, 0],
  ['ipi', StepKind.Ipi, 0],
  ['wake', StepKind.Wake, 0],
  ['idle', StepKind.Idle, 0],
  ['setRoot', Other, 0],
  ['yield', Other, 0],
  ['cleanLineToPou', Read, 64],
  ['tlbi', StepKind.Tlbi, 64],
];

export const OPERATION_NAMES: readonly string[] = TABLE.map(([name]) => name);
export const KIND_OF = Uint8Array.from(TABLE, ([, kind]) => kind);
export const BYTES_OF = Uint8Array.from(TABLE, ([, , bytes]) => bytes);
