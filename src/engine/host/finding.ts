/**
 * A broken rule, found while a program runs: what a program's own checks and the engine's ghost
 * words say. The shape is that of findings elsewhere (src/stress/target.ts); engines don't know
 * that room.
 */

export interface HostFinding {
  /** Who speaks: exclusion, lost-update, ... */
  readonly oracle: string;
  /** The CPU that broke the rule first, then those concerned. */
  readonly cpus: readonly number[];
  readonly text: string;
  readonly hi: number;
  readonly lo: number;
}

/** Ends the round in which it is thrown, and the run. */
export class FindingError extends Error {
  override readonly name = 'FindingError';
  readonly finding: HostFinding;

  constructor(finding: HostFinding) {
    super(`${finding.oracle}: ${finding.text}`);
    this.finding = finding;
  }
}
