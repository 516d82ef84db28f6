/**
 * The kinds of failure and the exit code of each (README, "Exit codes").
 *
 * User errors are expected: one line that says what is wrong, where, and what would be right.
 * A BugError is an invariant of numalab that broke: it keeps its stack and asks for a report.
 * Errors cross threads as plain data, because structured cloning drops classes and fields.
 */

export const ExitCode = {
  Done: 0,
  BadInput: 1,
  CheckFailed: 2,
  Stalled: 3,
  Bug: 4,
  Interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Bad input: reported as one line, never with a stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** An oracle or a checker found a violation in the emulated program. */
export class CheckError extends Error {
  override readonly name = 'CheckError';
}

/** The emulated program is deadlocked or makes no progress: an ordinary, reported result. */
export class StallError extends Error {
  override readonly name = 'StallError';
}

/** An invariant of numalab itself is broken. */
export class BugError extends Error {
  override readonly name = 'BugError';
}

/** The run was interrupted (Ctrl-C). */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

/** Where in the emulated run an error came up. */
export interface EmulatedPlace {
  readonly atPs: number;
  readonly cpu: number;
}

interface Placed {
  emulatedPlace?: EmulatedPlace;
}

export function placeError(error: unknown, place: EmulatedPlace): Error {
  const placed = error instanceof Error ? error : new Error(String(error));
  (placed as Placed).emulatedPlace = place;
  return placed;
}

/** null: it came up outside emulated time. */
export function placeOf(error: Error): EmulatedPlace | null {
  return (error as Placed).emulatedPlace ?? null;
}

/** The earliest in emulated time, then the lowest CPU; undefined: none came up in emulated time. */
export function earliestError(errors: readonly Error[]): Error | undefined {
  const placed = errors.filter((error) => placeOf(error) !== null);
  const least = (a: Error, b: Error): Error => {
    const [first, second] = [placeOf(a)!, placeOf(b)!];
    const difference = first.atPs - second.atPs || first.cpu - second.cpu;
    return difference <= 0 ? a : b;
  };
  return placed.length === 0 ? undefined : placed.reduce(least);
}

/** An error as it crosses a thread boundary. */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly place?: EmulatedPlace | null;
}

export function toErrorData(error: unknown): ErrorData {
  if (error instanceof Error) {
    const { name, message, stack } = error;
    return { name, message, stack: stack ?? '', place: placeOf(error) };
  }
  return { name: 'Error', message: String(error), stack: '' };
}

export function fromErrorData(data: ErrorData): Error {
  const constructors: Record<string, new (message: string) => Error> = {
    UserError,
    CheckError,
    StallError,
    BugError,
    InterruptedError,
  };
  const errorClass = constructors[data.name];
  const error = errorClass === undefined ? new Error(data.message) : new errorClass(data.message);
  error.stack = data.stack;
  return data.place ? placeError(error, data.place) : error;
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UserError) return ExitCode.BadInput;
  if (error instanceof CheckError) return ExitCode.CheckFailed;
  if (error instanceof StallError) return ExitCode.Stalled;
  if (error instanceof InterruptedError) return ExitCode.Interrupted;
  return ExitCode.Bug;
}
