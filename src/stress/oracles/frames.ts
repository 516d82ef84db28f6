/**
 * Frame conservation: a frame has one holder. It is not handed out twice, not given back twice and
 * not given back in another size. As src/checkers/frame-conservation.ts, at the very step; frames
 * that boot code handed out are unknown here, and given back once without complaint.
 */

import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const FRAMES = 'frames';

export const FRAMES_FACTS: OracleFacts = {
  name: FRAMES,
  description: 'a frame has one holder: not given out twice, nor back twice or in another size',
  engines: ['explore', 'host', 'virtual'],
};

const PAGE_SHIFT = 12;
const ORDER_MASK = 0xfff;

interface Frame {
  readonly cpu: number;
  readonly order: number;
  readonly allocated: boolean;
}

export function makeFrames(context: OracleContext): StressOracle {
  /** By page number of its first page. */
  const frames = new Map<number, Frame>();
  /** Pages that are handed out, by number: the first page of their frame. */
  const pages = new Map<number, number>();

  const fail = (cpus: readonly number[], text: string, hi: number, lo: number): void =>
    context.fail({ oracle: FRAMES, cpus, text, hi, lo: lo & ~ORDER_MASK });

  return {
    name: FRAMES,
    event(cpu, kind, hi, lo) {
      if (kind !== EventKind.FrameAllocated && kind !== EventKind.FrameFreed) return;
      const first = (hi & 0xffff) * 2 ** (32 - PAGE_SHIFT) + (lo >>> PAGE_SHIFT);
      const order = lo & ORDER_MASK;
      const count = 2 ** order;
      if (kind === EventKind.FrameAllocated) {
        for (let page = first; page < first + count; page++) {
          const holder = pages.get(page);
          if (holder !== undefined) {
            fail([cpu, frames.get(holder)!.cpu], 'is given a frame that another holds', hi, lo);
          }
          pages.set(page, first);
        }
        frames.set(first, { cpu, order, allocated: true });
        return;
      }
      const frame = frames.get(first);
      if (frame !== undefined && !frame.allocated) {
        fail([cpu, frame.cpu], 'gives a frame back a second time', hi, lo);
      } else if (frame !== undefined && frame.order !== order) {
        fail([cpu, frame.cpu], 'gives a frame back in another size', hi, lo);
      }
      for (let page = first; page < first + count; page++) pages.delete(page);
      frames.set(first, { cpu, order, allocated: false });
    },
  };
}
