/** What a command of `numalab` is. Heavy modules are imported in `run`: --help must be quick. */

import type { ExitCode } from '../base/errors.ts';
import type { Arguments, Option } from './options.ts';

export interface Command {
  readonly name: string;
  /** After the name: "[WORKLOAD|PROFILE.yaml] [key=value ...]". */
  readonly words: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** Command lines that run as they stand. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  run(args: Arguments, signal: AbortSignal): Promise<ExitCode>;
  /** More help for the words given (a workload's parameters). */
  help?(args: Arguments): Promise<string>;
}
