/** One line of the validation: a published figure beside the emulated one. */

export interface Row {
  /** Unique; the key in `--json`. */
  readonly name: string;
  readonly unit: string;
  readonly published: number;
  readonly emulated: number;
  /** Hash of the parameters that the figure was emulated with. */
  readonly machineHash: string;
  /**
   * 'figure': published as one number, so it must come back. 'fitted': used for the fit.
   * 'predicted': nothing was fitted to it. 'range', 'estimate': printed, no verdict.
   */
  readonly kind: 'figure' | 'fitted' | 'predicted' | 'range' | 'estimate';
  readonly note: string;
}

/** A figure that must come back may be off by this much; the others show their ratio. */
export const TOLERANCE = 0.05;

export function ratioOf(row: Row): number {
  return row.emulated / row.published;
}

/** null: nothing is claimed. */
export function comesBack(row: Row): boolean | null {
  return row.kind === 'figure' ? Math.abs(ratioOf(row) - 1) <= TOLERANCE : null;
}

/** What was published without a figure of its own: a sign, a shape, a range. */
export interface Claim {
  /** Unique among rows and claims. */
  readonly name: string;
  readonly published: string;
  readonly emulated: string;
  readonly fits: boolean;
  readonly machineHash: string;
}
