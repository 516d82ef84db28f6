/**
 * What the kernel knows about a page frame (struct page, include/linux/mm_types.h), in emulated
 * memory with contents: 64 bytes per page as in Linux, so that two pages never share a line.
 *
 * Deviation: where a run manages very much memory without bytes, its frames have 8 bytes each, and
 * 8 neighbours share a line (192 GiB would need 3 GiB of metadata otherwise). That hides transfers:
 * page_fault1 with 16 processes reads about a third faster.
 *
 *   0   state word: order [3:0], state [5:4], link or flags [31:6]
 *   4   link to the previous page while free; reference count while allocated
 *   8   split page-table lock (ptl), 8 bytes          } 64-byte form only
 *   16  rcu_head, 24 bytes                            }
 *   48  private word                                  }
 */

export const PageField = { State: 0, RefCount: 4, Lock: 8, RcuHead: 16, Private: 48 } as const;

export const PAGE_BYTES = 4096;
export const PAGE_SHIFT = 12;
/** Bytes of the metadata of a page, full and compact. */
export const STRUCT_PAGE_BYTES = 64;
export const COMPACT_PAGE_BYTES = 8;

/** MAX_PAGE_ORDER: blocks of 4 MiB. */
export const MAX_ORDER = 10;

/**
 * Invariant: exactly the first frame of a block has a state other than None. Reserved frames, the
 * inside of blocks and memory that was never handed out are None.
 */
export const PageState = { None: 0, Buddy: 1, PageList: 2, Allocated: 3 } as const;
export type PageState = (typeof PageState)[keyof typeof PageState];

/** Flags of an allocated page, in the bits that link free ones. */
export const PageFlag = { Locked: 1 << 6, Dirty: 1 << 7, UpToDate: 1 << 8 } as const;

/** Links count from 1, so that zeroed memory has none. */
export const LINK_MAX = (1 << 26) - 1;

export function stateWord(state: PageState, order: number, link: number): number {
  return order | (state << 4) | (link << 6);
}

export function stateOf(word: number): PageState {
  return ((word >>> 4) & 3) as PageState;
}

export function orderOf(word: number): number {
  return word & 15;
}

export function linkOf(word: number): number {
  return word >>> 6;
}
