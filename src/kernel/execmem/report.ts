/**
 * What a run with executable memory tells afterwards: how the linear map is mapped by now, what the
 * kernel's table maps executable, and what is wrong with either. Host side.
 */

import type { Machine } from '../../machine/machine.ts';
import type { Peek } from '../base/zone-audit.ts';
import { kernelLeaves, listingLines, mappedRanges } from '../kernel-table/listing.ts';
import { directMapLine, peekDirectMap } from '../linear-map/direct-map.ts';
import type { ExecmemImage } from './boot.ts';
import { auditTiling } from './tiling.ts';
import { auditProtection } from './write-xor-execute.ts';

/** More ranges than that are counted only. */
const SHOWN_MAX = 8;

export function execmemReport(peek: Peek, machine: Machine, image: ExecmemImage): string[] {
  const { root } = image.table;
  const { rodata } = image.options;
  const ranges = mappedRanges(kernelLeaves(peek, root)).filter(({ executable }) => executable);
  const hidden = ranges.length - SHOWN_MAX;
  const audit = auditProtection(peek, { root, rodata, architecture: machine.architecture });
  return [
    directMapLine(peekDirectMap(peek, image.linear)),
    ...listingLines(ranges.slice(0, SHOWN_MAX)),
    ...(hidden > 0 ? [`and ${hidden} executable ranges more`] : []),
    ...audit.windows,
    ...audit.violations.map((text) => `W^X: ${text}`),
    ...auditTiling(peek, image).map((text) => `areas: ${text}`),
  ];
}
