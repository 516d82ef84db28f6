/**
 * What is executable and nobody's holds traps: freed bytes trap filler, bytes that were never
 * handed out that or the allocator's poison for fresh memory, which is another word. And W^X by
 * what the tables say when all is done (src/kernel/execmem/write-xor-execute.ts). Told by targets,
 * which know the words of programs.
 */

import type { ExecmemImage } from '../../kernel/execmem/boot.ts';
import { CHUNK_BYTES } from '../../kernel/execmem/chunk.ts';
import { auditProtection } from '../../kernel/execmem/write-xor-execute.ts';
import { kernelLeaves, leafBytes } from '../../kernel/kernel-table/listing.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { Memory, Reporter } from '../target.ts';
import type { OracleFacts } from './oracle.ts';
import { WRITE_XOR_EXECUTE } from './write-xor-execute.ts';

export const FILLER = 'filler';

export const FILLER_FACTS: OracleFacts = {
  name: FILLER,
  description: "executable bytes that are nobody's hold traps; programs hold what was installed",
  engines: ['explore'],
};

/** `isLeftover`: is this the word of a program that was freed? By first words of chunks. */
export function checkFiller(
  memory: Memory,
  root: Address,
  isLeftover: (word: number) => boolean,
  report: Reporter,
): void {
  const peek = (hi: number, lo: number): number => memory.word({ hi, lo });
  for (const leaf of kernelLeaves(peek, root)) {
    if (!leaf.executable) continue;
    for (let offset = 0; offset < leafBytes(leaf); offset += CHUNK_BYTES) {
      const at = leaf.output + offset;
      const [hi, lo] = [Math.floor(at / 2 ** 32), at | 0];
      if (!isLeftover(peek(hi, lo))) continue;
      const text = 'executable memory still holds a program that was freed';
      report.fail({ oracle: FILLER, cpus: [], text, hi, lo });
      return;
    }
  }
}

export function checkProtection(
  memory: Memory,
  image: ExecmemImage,
  architecture: 'arm64' | 'x86',
  report: Reporter,
): void {
  const peek = (hi: number, lo: number): number => memory.word({ hi, lo });
  const { root } = image.table;
  const { rodata } = image.options;
  const { violations, windows } = auditProtection(peek, { root, rodata, architecture });
  const [found] = [...violations, ...windows];
  if (found === undefined) return;
  const text = found.replaceAll(/\b[0-9a-f]{9,}/g, 'one');
  report.fail({ oracle: WRITE_XOR_EXECUTE, cpus: [], text, hi: root.hi, lo: root.lo });
}

/** A CPU has taken a fault on what an allocator has given it. */
export function tellLostText(report: Reporter, cpu: number, hi: number, lo: number): void {
  const text = 'takes a fault on executable memory that it holds';
  report.fail({ oracle: FILLER, cpus: [cpu], text, hi, lo });
}

/** A CPU has executed its own program and met something else. */
export function tellWrongText(report: Reporter, cpu: number, hi: number, lo: number): void {
  const text = 'executes another word than was installed';
  report.fail({ oracle: FILLER, cpus: [cpu], text, hi, lo });
}
