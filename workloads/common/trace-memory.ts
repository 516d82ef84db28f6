/**
 * Memory of a trace, mapped before time 0: each page that the trace touches gets memory without
 * contents on the node that the policy names, at the virtual address that the trace has.
 *
 * first-touch: the node of the CPU that touches the page first in the trace; interleave: nodes in
 * turn, in order of first touch (as MPOL_INTERLEAVE of a task); bind: one node. A page larger than
 * 4K belongs to the first toucher of any part of it. Deviation: nothing faults, because a recorded
 * trace begins when its program is already mapped or shows the faults of another machine.
 */

import { UserError } from '../../src/base/errors.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import {
  PAGE_SHIFT,
  pageOfKey,
  spaceOfKey,
  type TouchedPages,
} from '../../src/trace/first-touches.ts';
import { mapRange } from '../../src/translation/boot-tables.ts';
import { PTE_DBM_HI } from '../../src/translation/descriptors.ts';
import { S1_PXN_HI, S1_USER_DATA_LO } from '../../src/translation/stage1-descriptors.ts';
import type { Placement, WorkloadContext } from '../workload.ts';
import { createUserSpace, type UserSpace } from './user-space.ts';
import { nodesWithMemory } from './values.ts';

const TABLE_BYTES = 4096;
const TABLE_SHIFT = 9;
/** Levels above the leaf tables that a space has tables of its own for, the root included. */
const LEVELS = 4;
/** A trace doesn't say which pages are text, and some programs write what they then run. */
const PAGE_SHARED_EXEC_HI = PTE_DBM_HI | S1_PXN_HI;

interface TracePage {
  readonly space: number;
  /** Address >> pageShift. */
  readonly page: number;
  /** CPU of the trace that touches it first. */
  readonly cpu: number;
}

/** Pages of the mapping, in order of first touch. */
function* mappedPages(pages: TouchedPages, pageShift: number): Generator<TracePage, void> {
  const keys = new Float64Array(pages.keys);
  const cpus = new Uint16Array(pages.cpus);
  const small = 2 ** (pageShift - PAGE_SHIFT);
  const seen = new Set<number>();
  for (let index = 0; index < pages.count; index++) {
    const space = spaceOfKey(keys[index]!);
    const page = Math.floor(pageOfKey(keys[index]!) / small);
    const key = page + space * 2 ** 36;
    if (small > 1 && seen.has(key)) continue;
    if (small > 1) seen.add(key);
    yield { space, page, cpu: cpus[index]! };
  }
}

/** Bytes of page tables. */
export function traceTableBytes(pages: TouchedPages, pageShift: number): number {
  const tables = new Set<number>();
  for (const { space, page } of mappedPages(pages, pageShift)) {
    let index = page;
    for (let level = LEVELS - 1; level >= 0; level--) {
      index = Math.floor(index / 2 ** TABLE_SHIFT);
      tables.add((space * LEVELS + level) * 2 ** 36 + index);
    }
  }
  return tables.size * TABLE_BYTES;
}

/** Address spaces: one for all, or one by CPU of the trace. */
export function mapTrace(
  boot: BootMemory,
  context: WorkloadContext,
  pages: TouchedPages,
  pageShift: number,
  cpuCount: number,
  ownSpaces: boolean,
): readonly UserSpace[] {
  const { machine, placement } = context;
  const nodeOf = (cpu: number): number => machine.nodeOfCpu[placement.cpus[cpu]!]!;
  const spaces = Array.from({ length: ownSpaces ? cpuCount : 1 }, (_, cpu) =>
    createUserSpace(boot, nodeOf(cpu), 1 + (cpu % 255)),
  );
  const policy = policyOf(placement, nodesWithMemory(machine), nodeOf);
  const bytes = 2 ** pageShift;
  for (const { space, page, cpu } of mappedPages(pages, pageShift)) {
    const physical = boot.allocateUnbacked(policy(cpu), bytes, bytes);
    const address = page * bytes;
    const va = { hi: Math.floor(address / 0x1_0000_0000), lo: address | 0 };
    const { table, tableNode } = spaces[space]!;
    mapRange(boot, table, {
      input: va,
      output: physical,
      bytes,
      attributesHi: PAGE_SHARED_EXEC_HI,
      attributesLo: S1_USER_DATA_LO,
      maximumShift: pageShift,
      tableNode,
    });
  }
  return spaces;
}

/** Node for the next page, by the CPU that touches it. */
function policyOf(
  placement: Placement,
  nodes: readonly number[],
  nodeOf: (cpu: number) => number,
): (cpu: number) => number {
  let next = 0;
  switch (placement.memoryPolicy) {
    case 'interleave':
      return () => nodes[next++ % nodes.length]!;
    case 'bind':
      return () => placement.bindNode;
    default:
      return nodeOf;
  }
}

/** Every CPU of the trace has a CPU of the run. */
export function refuseMissingCpus(context: WorkloadContext, cpuCount: number, at: string): void {
  const taking = context.placement.cpus.length;
  if (cpuCount <= taking) return;
  throw new UserError(
    `${at}: CPU ${cpuCount - 1} of the trace, and ${taking} CPUs take part (0 to ${taking - 1}); ` +
      `use --cpus ${cpuCount} or more on a machine that has them`,
  );
}
