/** The kernel's text as boot leaves it: where it is, what it contains, and its copies. */

import type { Address } from '../../memory/physical-address.ts';
import type { TextOptions } from './options.ts';

/** Plain data. */
export interface KernelTextImage {
  readonly options: TextOptions;
  /** _stext, a kernel virtual address. */
  readonly start: Address;
  readonly bytes: number;
}
