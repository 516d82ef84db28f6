/**
 * Completeness of a dirty log: what was written is recorded, or the last copy of it is newer than
 * the write. Told by targets, when all programs have ended: until then the record may still come
 * (mark_page_dirty follows the mapping that allows the write).
 */

import type { Address } from '../../memory/physical-address.ts';
import type { Memory, Reporter } from '../target.ts';

export const DIRTY_LOG = 'dirty-log';

/** A page: where its contents are, where they were copied to, and whether it is recorded now. */
export interface LoggedPage {
  readonly contents: Address;
  readonly copy: Address;
  readonly recorded: boolean;
}

/** Every page that is not recorded was copied after its last write. */
export function checkCopied(memory: Memory, pages: readonly LoggedPage[], report: Reporter): void {
  pages.forEach(({ contents, copy, recorded }, page) => {
    if (recorded || memory.word(contents) === memory.word(copy)) return;
    const text = `page ${page} was written and is not in the dirty log`;
    report.fail({ oracle: DIRTY_LOG, cpus: [], text, ...contents });
  });
}
