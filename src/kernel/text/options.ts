/**
 * Options of the kernel's own text: one copy, a copy per node under per-node roots (the posted
 * series), or a copy per node under the host's stage 2 (its alternative).
 */

import { UserError } from '../../base/errors.ts';
import type { Parameter, Parameters } from '../../base/parameters.ts';
import { parseSize, parseTimePs } from '../../base/parse-quantity.ts';
import { formatBytes } from '../../base/units.ts';
import type { Machine } from '../../machine/machine.ts';
import { IMAGE_ROOM_BYTES, PGDIR_BYTES } from '../base/kernel-layout.ts';
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
  readonly textBytes: number;
  readonly hotTextBytes: number;
  readonly rodataBytes: number;
  /** Shares, 0 to 1. */
  readonly hotShare: number;
  readonly branchiness: number;
  /** Time of the host's EL1 state without VHE, both ways. */
  readonly nvheSwitchPs: number;
}

/** What B and BL reach (+-128 MiB). */
const TEXT_BYTES_MAX = 2 ** 27;

const SERIES = 'v2 00/17 (R. King, 2023-07-27)';

/** What the kernel's text is like: no kernel's choice, so free under every version. */
const SHAPE: readonly Parameter[] = [
  {
    name: 'textSize',
    kind: 'size',
    default: '4M',
    minimum: 65536,
    maximum: 2 ** 40,
    description: 'bytes of kernel text; a distribution kernel has about 16M',
  },
  {
    name: 'hotText',
    kind: 'size',
    default: '1M',
    minimum: 4096,
    maximum: 2 ** 40,
    description: 'bytes of it that are hot',
  },
  {
    name: 'rodataSize',
    kind: 'size',
    default: '1M',
    minimum: 0,
    maximum: 2 ** 40,
    description: 'bytes of read-only data, which are copied with the text',
  },
  {
    name: 'hotShare',
    kind: 'percent',
    default: '90',
    description: 'calls that stay in hot text',
  },
  {
    name: 'branchiness',
    kind: 'percent',
    default: '50',
    description: 'conditional branches that are taken',
  },
];

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
  {
    name: 'nvheSwitch',
    kind: 'time',
    default: '1us',
    unit: 'ns',
    minimum: 0,
    maximum: 1e9,
    description:
      'text=stage2-replicated: time of saving and restoring EL1 state without VHE, per exit and ' +
      'entry of a guest; an estimate (6500 cycles for all of a hypercall on X-Gene, ISCA 2016)',
  },
  ...SHAPE,
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
  const size = (name: string): number =>
    parseSize(name, text(name), { minimum: 0, maximum: 2 ** 40 });
  return {
    text: text('text') as TextOptions['text'],
    ktext: flag('ktext'),
    textPages: text('textPages') as TextOptions['textPages'],
    protectCopies: flag('protectCopies'),
    kpti: flag('kpti'),
    kernelPages: text('kernelPages') as TextOptions['kernelPages'],
    vaBits: Number(text('vaBits')),
    textBytes: size('textSize'),
    hotTextBytes: size('hotText'),
    rodataBytes: size('rodataSize'),
    hotShare: Number(text('hotShare')) / 100,
    branchiness: Number(text('branchiness')) / 100,
    nvheSwitchPs: parseTimePs('nvheSwitch', text('nvheSwitch'), 'ps', { minimum: 0, maximum: 1e9 }),
  };
}

/** Refuses what cannot be, in the kernel's own words where it has some. */
export function checkTextOptions(options: TextOptions, machine: Machine): void {
  refuseLargeText(options);
  if (options.hotTextBytes > options.textBytes) {
    throw new UserError('hotText is larger than textSize; hot text is a part of the text');
  }
  if (options.text === 'replicated' && options.kernelPages === '16K' && options.vaBits === 48) {
    throw new UserError(
      'text=replicated: "Kernel L0 index cannot share with the modules or vmalloc L0 index: ' +
        'disabling ktext replication", as with 16K pages and four levels one entry of the root ' +
        'spans 128T; leave kernelPages=16K out',
    );
  }
  if (options.text === 'replicated' && options.vaBits === 52) {
    throw new UserError(
      'text=replicated: with LPA2 the root is at level -1, which the series does not know; ' +
        'use vaBits=48',
    );
  }
  if (options.kernelPages !== '4K' || options.vaBits !== 48) {
    throw new UserError(
      `kernelPages=${options.kernelPages} vaBits=${options.vaBits}: the emulated host maps ` +
        'itself with 4K pages and 48 bits; leave both out',
    );
  }
  if (options.text !== 'shared' && machine.architecture === 'x86') {
    throw new UserError(
      `text=${options.text}: ${machine.name} is x86, and both designs are about TTBR1 and ` +
        'stage 2 of arm64; use text=shared, or an arm64 machine',
    );
  }
}

/**
 * The image has one top-level slot to itself, or a part of one; branches reach less than either.
 */
function refuseLargeText({ text, textBytes, rodataBytes }: TextOptions): void {
  const bytes = textBytes + rodataBytes;
  const slot = text === 'replicated' ? PGDIR_BYTES : IMAGE_ROOM_BYTES;
  if (bytes > slot) {
    throw new UserError(
      `textSize and rodataSize: an image of ${formatBytes(bytes)} is larger than its slot of ` +
        `the kernel's address space (${formatBytes(slot)}); lower them`,
    );
  }
  if (textBytes > TEXT_BYTES_MAX || rodataBytes > TEXT_BYTES_MAX) {
    throw new UserError(
      `textSize and rodataSize: at most ${formatBytes(TEXT_BYTES_MAX)} each, which is what a ` +
        'branch reaches; lower them',
    );
  }
}
