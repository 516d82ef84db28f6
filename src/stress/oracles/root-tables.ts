/**
 * The top-level tables of all nodes are equal but for the kernel's own entries: whoever has set an
 * entry finds it in every root, no CPU takes a fault on what is mapped in swapper_pg_dir, and at
 * the end all roots are equal.
 */

import { isOwnEntry } from '../../kernel/text/boot.ts';
import type { KernelTextImage } from '../../kernel/text/image.ts';
import { addBytes } from '../../memory/physical-address.ts';
import type { Memory, Reporter } from '../target.ts';
import type { OracleFacts } from './oracle.ts';

export const ROOT_TABLES = 'root-tables';

export const ROOT_TABLES_FACTS: OracleFacts = {
  name: ROOT_TABLES,
  description: "roots of all nodes are equal but for the kernel's own entries, and nobody is late",
  engines: ['explore'],
};

const ENTRIES = 512;

export function checkRootEntry(
  memory: Memory,
  { copies }: KernelTextImage,
  index: number,
  cpus: readonly number[],
  report: Reporter,
): void {
  const [original, ...others] = copies;
  for (const { root } of others) {
    for (const half of [0, 4]) {
      const at = addBytes(root, index * 8 + half);
      if (memory.word(at) === memory.word(addBytes(original!.root, index * 8 + half))) continue;
      const text = 'an entry of the top-level table has not reached every root';
      report.fail({ oracle: ROOT_TABLES, cpus, text, hi: at.hi, lo: at.lo });
      return;
    }
  }
}

export function checkRoots(memory: Memory, image: KernelTextImage, report: Reporter): void {
  for (let index = 0; index < ENTRIES; index++) {
    if (!isOwnEntry(image, index)) checkRootEntry(memory, image, index, [], report);
  }
}

/** A CPU has taken a fault on an address that swapper_pg_dir maps. */
export function tellLateRoot(report: Reporter, cpu: number, hi: number, lo: number): void {
  const text = 'takes a fault on a kernel address that is mapped: its root lacks the entry';
  report.fail({ oracle: ROOT_TABLES, cpus: [cpu], text, hi, lo });
}
