/**
 * The kernel's text as boot leaves it: where it is, its copies, and the roots that lead to them.
 *
 * Sections of the image, in order: .text, .rodata, then what is written to at run time or at boot
 * (.ro_after_init, .init, .data) and is therefore never copied. Copies reach from _stext to the end
 * of .rodata ("arm64: text replication: add node text patching" and the patches before it, R.
 * King).
 */

import type { Address } from '../../memory/physical-address.ts';
import type { CodeImage } from '../code/image.ts';
import type { TextOptions } from './options.ts';

/** A stretch of text and the node that it is on. */
export interface TextCopy {
  readonly node: number;
  /** Physical address of _stext's copy. */
  readonly physical: Address;
  /** Physical address of the root whose kernel entry leads here. */
  readonly root: Address;
  /**
   * tramp_pg_dir of this root, two pages before it (TRAMP_SWAPPER_OFFSET); null without kpti.
   */
  readonly trampoline: Address | null;
  /** Root of the host's stage 2 for CPUs of these nodes; null unless text=stage2-replicated. */
  readonly stage2: Address | null;
}

/** Plain data. */
export interface KernelTextImage {
  readonly options: TextOptions;
  /** _stext, a kernel virtual address. */
  readonly start: Address;
  /** What .text consists of, at `start`: the same for every CPU. */
  readonly code: CodeImage;
  readonly textBytes: number;
  readonly rodataBytes: number;
  /** The original first; then a copy for every other node with memory of its own. */
  readonly copies: readonly TextCopy[];
  /** Index into `copies` by node: CPUs of a node without memory use the nearest. */
  readonly copyOfNode: readonly number[];
  /** swapper_pgdir_lock, a linear-map address. */
  readonly rootLock: Address;
  /** Entries of the roots from here on, `rootEntries` of them, differ between nodes. */
  readonly rootIndex: number;
  readonly rootEntries: number;
  /**
   * Bytes of page tables that the design needs on top of one kernel's: tables of copies, roots, the
   * host's stage 2, tables of linear aliases that are protected.
   */
  readonly tableBytes: number;
}

/** What of the image has copies. */
export function copiedBytes({ textBytes, rodataBytes }: KernelTextImage): number {
  return textBytes + rodataBytes;
}

/** The copy that CPUs of a node execute. */
export function copyFor(image: KernelTextImage, node: number): TextCopy {
  return image.copies[image.copyOfNode[node]!]!;
}

/** Does the host kernel run under a stage 2 of its own? */
export function hasHostStage2(image: KernelTextImage | null): boolean {
  return image?.options.text === 'stage2-replicated';
}
