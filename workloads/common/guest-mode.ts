/**
 * Guest modes, `-m` of the KVM selftests: bits of the guest's physical and virtual addresses and
 * its page size. The numbers are positions in an enum that changed when 16K modes came in 2022:
 * `-m 2` of the published figures is P48V48_4K, in newer trees it is P52V48_64K. Numbers are read
 * as in the trees of the published figures, and reports print the words.
 */

import { assert } from '../../src/base/assert.ts';

export interface GuestMode {
  readonly name: string;
  readonly paBits: number;
  readonly pageShift: number;
}

/**
 * By number in the enum before 16K modes; 0 and 1 have 52-bit addresses, which are not modelled.
 */
const MODES: Readonly<Record<string, GuestMode>> = {
  2: { name: 'P48V48_4K', paBits: 48, pageShift: 12 },
  3: { name: 'P48V48_64K', paBits: 48, pageShift: 16 },
  4: { name: 'P40V48_4K', paBits: 40, pageShift: 12 },
  5: { name: 'P40V48_64K', paBits: 40, pageShift: 16 },
};

export const GUEST_MODE_VALUES: readonly string[] = Object.entries(MODES).flatMap(
  ([number, { name }]) => [name, number],
);

export function guestModeOf(text: string): GuestMode {
  const found = MODES[text] ?? Object.values(MODES).find(({ name }) => name === text);
  assert(found !== undefined, `guest mode ${text}`);
  return found;
}

/** vm_guest_mode_string. */
export function guestModeText(mode: GuestMode): string {
  const page = mode.pageShift === 12 ? ' 4K' : '64K';
  return `PA-bits:${mode.paBits},  VA-bits:48, ${page} pages`;
}
