/** What the page-table walker needs of its CPU, and the roots that it starts from. */

import type { Granule } from './granule.ts';

/** What the walker needs of its CPU. */
export interface WalkPort {
  /** True: the descriptor's line is held (exclusively if `write` is 1) and its time charged. */
  walkRead(paHi: number, paLo: number, write: number): boolean;
  zoneOf(paHi: number, paLo: number): Int32Array;
}

/** One stage's table and where its walk starts. */
export interface StageRoot {
  granule: Granule;
  startLevel: number;
  inputBits: number;
  hi: number;
  lo: number;
}
