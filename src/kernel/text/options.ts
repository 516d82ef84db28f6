/**
 * Options of the kernel's own text: one copy, a copy per node under per-node roots (the posted
 * series), or a copy per node under the host's stage 2 (its alternative).
 */

import { UserError } from '../../base/errors.ts';
import type { Parameter, Parameters } from '../../base/parameters.ts';
import type { Machine } from '../../machine/machine.ts';
import type { KernelFamily, Runs } from '../family.ts';

/** Resolved options; plain data. */
export interface TextOptions {
  readonly text: 'shared' | 'replicated' | 'stage2-replicated';
  /** The boot option `ktext=`: off keeps the code paths and makes no copies. */
  readonly ktext: boolean;
  readonly textPages: '4K' | '64K' | '2M';
  /** Copies are mapped read-only through every alias; the series leaves them writable. */
  readonly protectCopies: boolean;
  readonly kpti: boolean;
  readonly kernelPages: '4K' | '16K' | '64K';
  readonly vaBits: number;
}

const SERIES = 'v2 00/17 (R. King, 2023-07-27)';

export const TEXT_PARAMETERS: readonly Parameter[] = [
  {
    name: 'text',
    kind: 'choice',
    values: ['shared', 'replicated', 'stage2-replicated'],
    default: 'shared',
    description: 'copies of the kernel text: one, or one per node by TTBR1 or by stage 2',
    follows: {
      shared: 'paging_init: one swapper_pg_dir for every CPU',
      replicated: `ktext_replication_init, ${SERIES}: a top-level table and a copy per node`,
      'stage2-replicated':
        'A. Biesheuvel in RFC 00/17, 2023-05-30: the host kernel under stage 2, a table per node',
    },
  },
  {
    name: 'ktext',
    kind: 'flag',
    default: 'on',
    description: 'boot option ktext=: off runs the code paths of text=replicated without copies',
    follows: { on: `ktext_enabled, ${SERIES}`, off: 'ktext=0 on the kernel command line' },
  },
  {
    name: 'textPages',
    kind: 'choice',
    values: ['4K', '64K', '2M'],
    default: '64K',
    description: 'largest leaf that maps kernel text: pages, contiguous pages, blocks',
    follows: {
      '4K': 'map_kernel_segment with NO_BLOCK_MAPPINGS and NO_CONT_MAPPINGS',
      '64K': 'SEGMENT_ALIGN 64K: contiguous groups of 16 pages',
      '2M': 'a kernel image aligned to PMD_SIZE: block mappings',
    },
  },
  {
    name: 'protectCopies',
    kind: 'flag',
    default: 'off',
    description: 'copies have no writable alias outside patch windows (beyond the series)',
    follows: {
      off: `${SERIES}: "replicated rodata not yet write-protected"`,
      on: 'no kernel: the linear alias of each copy is made read-only, patches go by fixmap',
    },
  },
  {
    name: 'kpti',
    kind: 'flag',
    default: 'off',
    description: 'kernel page-table isolation: user space runs on the trampoline root',
    follows: { on: 'unmap_kernel_at_el0 (kpti=on)', off: 'CPUs with CSV3' },
  },
  {
    name: 'kernelPages',
    kind: 'choice',
    values: ['4K', '16K', '64K'],
    default: '4K',
    description: 'page size of the kernel; the emulated host maps itself with 4K',
    follows: {
      '4K': 'CONFIG_ARM64_4K_PAGES',
      '16K': 'CONFIG_ARM64_16K_PAGES',
      '64K': 'CONFIG_ARM64_64K_PAGES',
    },
  },
  {
    name: 'vaBits',
    kind: 'choice',
    values: ['39', '48', '52'],
    default: '48',
    description: 'bits of a kernel address',
    follows: {
      39: 'CONFIG_ARM64_VA_BITS_39',
      48: 'CONFIG_ARM64_VA_BITS_48',
      52: 'CONFIG_ARM64_VA_BITS_52 (LPA2)',
    },
  },
];

const ONE_COPY: Runs = { text: ['shared'], protectCopies: ['off'] };

export const TEXT_FAMILY: KernelFamily = {
  name: 'text',
  parameters: TEXT_PARAMETERS,
  versions: {
    'v5.17': ONE_COPY,
    'v6.0': ONE_COPY,
    'v6.2': ONE_COPY,
    'v6.5': ONE_COPY,
    'v6.13': ONE_COPY,
    'posted:ktext-v2': { text: ['replicated', 'shared'], protectCopies: ['off'] },
  },
  decide: () => ({}),
  check: (parameters, machine) => checkTextOptions(resolveTextOptions(parameters), machine),
};

export function resolveTextOptions(parameters: Parameters): TextOptions {
  const text = (name: string): string => {
    const value = parameters[name];
    if (value !== undefined) return String(value);
    return TEXT_PARAMETERS.find((parameter) => parameter.name === name)!.default;
  };
  const flag = (name: string): boolean => ['true', 'on'].includes(text(name));
  return {
    text: text('text') as TextOptions['text'],
    ktext: flag('ktext'),
    textPages: text('textPages') as TextOptions['textPages'],
    protectCopies: flag('protectCopies'),
    kpti: flag('kpti'),
    kernelPages: text('kernelPages') as TextOptions['kernelPages'],
    vaBits: Number(text('vaBits')),
  };
}

/** Refuses what cannot be, in the kernel's own words where it has some. */
export function checkTextOptions(options: TextOptions, machine: Machine): void {
  if (options.text !== 'shared' && machine.architecture === 'x86') {
    throw new UserError(
      `text=${options.text}: ${machine.name} is x86, and both designs are about TTBR1 and ` +
        'stage 2 of arm64; use text=shared, or an arm64 machine',
    );
  }
}
