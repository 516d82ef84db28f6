/**
 * Guest modes, `-m` of the KVM selftests: bits of the guest's physical and virtual addresses and its
 * page size. The numbers are positions in an enum that changed when 16K modes came in 2022: `-m 2`
 * of the published figures is P48V48_4K, in newer trees it is P52V48_64K. Numbers are read as in
 * the trees of the published figures, and reports print the words.
 */

import { UserError } from '../../src/base/errors.ts';

export interface GuestMode {
  readonly name: string;
  readonly paBits: number;
  readonly vaBits: number;
  readonly pageShift: number;
}

function mode(paBits: number, pages: '4K' | '64K'): GuestMode {
  const pageShift = pages === '4K' ? 12 : 16;
  return { name: `P${paBits}V48_${pages}`, paBits, vaBits: 48, pageShift };
}

/** In the order of the enum before 16K modes. */
const MODES: readonly GuestMode[] = [
  mode(52, '4K'),
  mode(52, '64K'),
  mode(48, '4K'),
  mode(48, '64K'),
  mode(40, '4K'),
  mode(40, '64K'),
];

export const GUEST_MODE_VALUES: readonly string[] = [
  ...MODES.flatMap((entry, index) => (entry.paBits === 52 ? [] : [entry.name, `${index}`])),
];

export function guestModeOf(text: string): GuestMode {
  const found = /^\d$/.test(text)
    ? MODES[Number(text)]
    : MODES.find((candidate) => candidate.name === text);
  if (found === undefined || found.paBits > 48) {
    throw new UserError(`mode: '${text}' is not one of ${GUEST_MODE_VALUES.join(', ')}`);
  }
  return found;
}

/** vm_guest_mode_string. */
export function guestModeText(guestMode: GuestMode): string {
  const page = guestMode.pageShift === 12 ? ' 4K' : '64K';
  return `PA-bits:${guestMode.paBits},  VA-bits:${guestMode.vaBits}, ${page} pages`;
}
