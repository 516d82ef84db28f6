/**
 * A lock from a user's own file. The file exports `name`, `wordBytes`, `acquire(cpu, hi, lo)` and
 * `release(cpu, hi, lo)` and imports nothing: constants are `cpu.api`, queue nodes lie at
 * `cpu.nodeLo(id)`. acquire and release are generators over the operations of user-cpu.ts. The
 * lock's memory is zeroed before its first use; a CPU holds one such lock at a time.
 *
 * What locks of this house report themselves (lock-events.ts) is reported here for the user.
 */

import { UserError } from '../base/errors.ts';
import type { Program } from '../cpu/cpu.ts';
import type { Lock } from './lock.ts';
import { noteAcquired, noteReleased } from './lock-events.ts';
import { oneLine, UserCpu } from './user-cpu.ts';

export const USER_WORD_BYTES_MAX = 4096;
const NAME_LENGTH_MAX = 60;

type UserProgram = (cpu: UserCpu, hi: number, lo: number) => unknown;

interface UserModule {
  readonly name: string;
  readonly wordBytes: number;
  readonly acquire: UserProgram;
  readonly release: UserProgram;
}

/** `file`: as the user wrote it, for messages. */
export function userLockOf(file: string, module: Readonly<Record<string, unknown>>): Lock {
  const { name, wordBytes, acquire, release } = checkModule(file, module);
  return {
    name,
    bytes: wordBytes,

    *acquire(cpu, hi, lo) {
      const guard = new UserCpu(cpu, { what: `${file}: acquire`, hi, lo, bytes: wordBytes });
      yield* call(guard, acquire, hi, lo);
      noteAcquired(cpu, hi, lo, guard.contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      const guard = new UserCpu(cpu, { what: `${file}: release`, hi, lo, bytes: wordBytes });
      yield* call(guard, release, hi, lo);
    },
  };
}

function checkModule(file: string, module: Readonly<Record<string, unknown>>): UserModule {
  const { name, wordBytes } = module;
  const known =
    "a lock file exports name, wordBytes, acquire and release ('numalab stress --help')";
  for (const wanted of ['name', 'wordBytes', 'acquire', 'release']) {
    if (!(wanted in module)) throw new UserError(`${file}: exports no ${wanted}; ${known}`);
  }
  if (typeof name !== 'string' || !/^[\w.+-]+$/.test(name) || name.length > NAME_LENGTH_MAX) {
    throw new UserError(
      `${file}: name is ${kindOf(name)}; export a string of letters, digits and . + - _`,
    );
  }
  const isCount = typeof wordBytes === 'number' && Number.isInteger(wordBytes);
  if (!isCount || wordBytes < 4 || wordBytes > USER_WORD_BYTES_MAX || wordBytes % 4 !== 0) {
    throw new UserError(
      `${file}: wordBytes is ${kindOf(wordBytes)}; export a multiple of 4 ` +
        `from 4 to ${USER_WORD_BYTES_MAX}`,
    );
  }
  for (const wanted of ['acquire', 'release']) {
    if (typeof module[wanted] === 'function') continue;
    throw new UserError(
      `${file}: ${wanted} is ${kindOf(module[wanted])}; export function* ${wanted}(cpu, hi, lo)`,
    );
  }
  return module as unknown as UserModule;
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, NAME_LENGTH_MAX)}'`;
  if (typeof value === 'number') return String(value);
  if (value === null) return 'null';
  if (value === undefined) return 'undefined';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** Runs one call of the user's code; every step of it is checked. */
function call(guard: UserCpu, start: UserProgram, hi: number, lo: number): Program {
  let program: unknown;
  try {
    program = start(guard, hi, lo);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw guard.misuse(`threw ${oneLine(error)}`);
  }
  if (!isGenerator(program)) {
    const what = program instanceof Promise ? 'a promise' : kindOf(program);
    throw guard.misuse(`returned ${what} instead of a generator; declare it with function*`);
  }
  return drive(guard, program, true);
}

function* drive(guard: UserCpu, program: Program, isWhole: boolean): Program {
  for (;;) {
    const { done, value } = guard.resume(program);
    if (done === true) break;
    if (value === undefined) {
      yield;
    } else {
      if (!isGenerator(value)) {
        throw guard.misuse(`yields ${kindOf(value)}; yield nothing, or a generator to run first`);
      }
      yield drive(guard, value, false);
    }
    guard.yielded();
  }
  if (isWhole) guard.ended();
}

function isGenerator(value: unknown): value is Program {
  if (typeof value !== 'object' || value === null) return false;
  const candidate = value as { next?: unknown; [Symbol.iterator]?: unknown };
  return typeof candidate.next === 'function' && typeof candidate[Symbol.iterator] === 'function';
}
