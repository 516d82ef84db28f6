/**
 * A family of kernel options: one system under test. A workload names the families that it reads;
 * each says which values every kernel version can run, so that `--like` sets a consistent whole and
 * a mixture that no kernel has run is labelled.
 */

import type { Parameter, Parameters } from '../base/parameters.ts';
import type { Machine } from '../machine/machine.ts';

export const FAMILY_NAMES = ['stage2', 'mm', 'text', 'execmem'] as const;
export type FamilyName = (typeof FAMILY_NAMES)[number];

/** Values that a kernel can run, as a user writes them, by option; the first is the preset's. */
export type Runs = Readonly<Record<string, readonly string[]>>;

export interface KernelFamily {
  readonly name: FamilyName;
  readonly parameters: readonly Parameter[];
  /**
   * By version, and for the posted series that are about this family. A series that is not named is
   * run as the version that it was posted against (like.ts). Options left out are free.
   */
  readonly versions: Readonly<Record<string, Runs>>;
  /** What a version runs on this machine, where that depends on its CPUs. */
  onMachine?(runs: Runs, machine: Machine): Runs;
  /** Values of options that were left to the machine or to other options (''). */
  decide(parameters: Parameters, machine: Machine): Parameters;
  /** Throws a UserError for what is impossible; gets decided parameters. */
  check(parameters: Parameters, machine: Machine): void;
}
