/**
 * Free and busy areas of an allocator are disjoint, free ones are merged, and together they tile
 * what was taken from vmalloc (src/kernel/execmem/tiling.ts), looked at when all CPUs are done. And
 * lists lead to nothing that was freed.
 */

import type { ExecmemImage } from '../../kernel/execmem/boot.ts';
import { auditTiling, textVms } from '../../kernel/execmem/tiling.ts';
import type { Memory, Reporter } from '../target.ts';
import type { OracleFacts } from './oracle.ts';
import { USE_AFTER_FREE } from './use-after-free.ts';

export const AREA_TILING = 'area-tiling';

export const AREA_TILING_FACTS: OracleFacts = {
  name: AREA_TILING,
  description: 'free and busy areas are disjoint and tile what was taken, none lost or twice',
  engines: ['explore'],
};

export function checkTiling(memory: Memory, image: ExecmemImage, report: Reporter): void {
  const peek = (hi: number, lo: number): number => memory.word({ hi, lo });
  const { hi, lo } = image.posted.allTextVm;
  const isFreed = ({ bytes }: { readonly bytes: number }): boolean => bytes === 0;
  if (image.options.allocator === 'execmem-posted' && textVms(peek, image).some(isFreed)) {
    const text = 'the list of text areas leads to one that was freed';
    report.fail({ oracle: USE_AFTER_FREE, cpus: [], text, hi, lo });
  }
  const [problem] = problemsOf(() => auditTiling(peek, image));
  if (problem === undefined) return;
  report.fail({ oracle: AREA_TILING, cpus: [], text: withoutAddresses(problem), hi, lo });
}

/** Failures are told apart by their words: addresses are not part of what happened. */
function withoutAddresses(problem: string): string {
  if (problem.includes('overlap')) return 'areas overlap';
  if (problem.includes('touch')) return 'free areas touch that should be one';
  if (problem.includes('not what vmalloc gave')) {
    return 'areas lie where no list says that memory was taken';
  }
  if (problem.includes('not all in an area')) return 'memory that was taken is in no area';
  return problem;
}

function problemsOf(audit: () => string[]): string[] {
  try {
    return audit();
  } catch (error) {
    if (error instanceof RangeError) return ['a tree of areas has a circle'];
    throw error;
  }
}
