/**
 * W^X, read from the kernel's table between operations: no mapping is writable and executable; with
 * rodata=full no executable byte has a writable alias, the linear map's included. A poke window is
 * exempt for as long as it is open and told with its scope: the fixmap's is every CPU's, that of a
 * temporary mm belongs to one CPU and is in no kernel table.
 *
 * Without rodata=full arm64 leaves the linear alias of vmalloc memory writable: no finding.
 */

import { formatBytes } from '../../base/units.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { Peek } from '../base/zone-audit.ts';
import { kernelAddressWord, kernelLeaves, type Leaf, leafBytes } from '../kernel-table/listing.ts';
import { POKE_WINDOW } from '../patching/fixmap-poke.ts';

const TWO_32 = 0x1_0000_0000;
const PAGE_BYTES = 4096;

export interface ProtectionAudit {
  /** What must not be. */
  readonly violations: readonly string[];
  /** Poke windows that are open, with their scope. */
  readonly windows: readonly string[];
}

export interface AuditedTable {
  /** Physical. */
  readonly root: Address;
  readonly rodata: 'off' | 'noalias' | 'full';
  /** x86 write-protects the alias whatever rodata says. */
  readonly architecture: 'arm64' | 'x86';
}

export function auditProtection(peek: Peek, table: AuditedTable): ProtectionAudit {
  const leaves = kernelLeaves(peek, table.root);
  const violations: string[] = [];
  const windows: string[] = [];
  for (const leaf of leaves) {
    if (!leaf.writable || !leaf.executable) continue;
    violations.push(`${kernelAddressWord(leaf.input)} is writable and executable`);
  }
  if (table.rodata !== 'full' && table.architecture === 'arm64') return { violations, windows };
  const text = new ExecutableFrames(leaves);
  const aliases: Alias[] = [];
  for (const leaf of leaves) {
    if (!leaf.writable || leaf.executable) continue;
    const of = text.overlapping(leaf);
    if (of === null) continue;
    const page = kernelAddressWord(of.input);
    const alias = kernelAddressWord(leaf.input);
    if (isPokeWindow(leaf)) windows.push(`${alias} writes to ${page}, on all CPUs (fixmap)`);
    else addAlias(aliases, leaf, of);
  }
  violations.push(...aliases.map(aliasWord));
  return { violations, windows };
}

/** A stretch of writable addresses beside the executable address of its first byte. */
interface Alias {
  readonly input: number;
  bytes: number;
  readonly text: number;
}

/** Neighbours are one finding: a text of some megabytes would be a thousand. */
function addAlias(aliases: Alias[], leaf: Leaf, of: Leaf): void {
  const last = aliases.at(-1);
  const text = of.input + Math.max(0, leaf.output - of.output);
  const isNext =
    last !== undefined &&
    last.input + last.bytes === leaf.input &&
    text - last.text === leaf.input - last.input;
  if (isNext) last.bytes += leafBytes(leaf);
  else aliases.push({ input: leaf.input, bytes: leafBytes(leaf), text });
}

function aliasWord({ input, bytes, text }: Alias): string {
  return (
    `${kernelAddressWord(input)} (${formatBytes(bytes)}) is a writable alias of ` +
    `${kernelAddressWord(text)}, which is executable`
  );
}

function isPokeWindow({ input }: Leaf): boolean {
  const window = (POKE_WINDOW.hi & 0xffff) * TWO_32 + (POKE_WINDOW.lo >>> 0);
  return input >= window && input < window + PAGE_BYTES;
}

/** Executable leaves by output address. */
class ExecutableFrames {
  readonly #sorted: readonly Leaf[];

  constructor(leaves: readonly Leaf[]) {
    this.#sorted = leaves
      .filter(({ executable }) => executable)
      .toSorted((a, b) => a.output - b.output);
  }

  /** One that shares bytes with a leaf. */
  overlapping(leaf: Leaf): Leaf | null {
    const end = leaf.output + leafBytes(leaf);
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const candidate = this.#sorted[middle]!;
      if (candidate.output + leafBytes(candidate) <= leaf.output) low = middle + 1;
      else high = middle;
    }
    const found = this.#sorted[low];
    return found !== undefined && found.output < end ? found : null;
  }
}
