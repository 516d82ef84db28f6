/**
 * Declaration of one option of a workload or of the kernel under test. Every option arrives as text
 * (`key=value`) and is checked by these tables alone, which also feed --help and `list params`.
 */

export type ParameterKind =
  /** One of `values`. */
  | 'choice'
  /** on | off, true | false, 1 | 0; resolved to a boolean. */
  | 'flag'
  /** A whole number within [minimum, maximum]. */
  | 'count'
  /** Bytes with suffix K M G T (powers of two). */
  | 'size'
  /** A duration with ns us ms s; resolved to picoseconds. A bare number is read as `unit`. */
  | 'time'
  /** A whole percentage 0..100. */
  | 'percent'
  /** Operations per second of emulated time; 0 = never. */
  | 'rate'
  /** Free text (a file name, a list of names). */
  | 'text';

export type ParameterValue = string | number | boolean;

export interface Parameter {
  readonly name: string;
  /** The selftests' single letter (`b` for perVcpuMemory). */
  readonly alias?: string;
  readonly kind: ParameterKind;
  readonly values?: readonly string[];
  /** As the user would write it. '' = decided from the machine and the other options. */
  readonly default: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly unit?: string;
  readonly description: string;
  /** Kernel function and commit, version or posted series that the option follows, by value. */
  readonly follows?: Readonly<Record<string, string>>;
}

/** Resolved values by name. */
export type Parameters = Readonly<Record<string, ParameterValue>>;
