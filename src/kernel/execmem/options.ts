/**
 * Options of executable memory for BPF programs, modules and trampolines, and of the linear map's
 * permissions that go with it.
 */

import { UserError } from '../../base/errors.ts';
import type { Parameter, Parameters } from '../../base/parameters.ts';
import type { Machine } from '../../machine/machine.ts';
import type { KernelFamily, Runs } from '../family.ts';

export type AllocatorName =
  | 'module_alloc'
  | 'prog_pack'
  | 'execmem-posted'
  | 'execmem-rox'
  | 'typed';

/** Resolved options; plain data. */
export interface ExecmemOptions {
  readonly allocator: AllocatorName;
  readonly packPages: '4K' | '2M';
  readonly textTail: boolean;
  readonly rodata: 'off' | 'noalias' | 'full';
  readonly linearMapBbm: boolean;
  readonly poke: 'fixmap' | 'temporary-mm' | 'none';
  readonly modulesRange: 'near' | 'far' | 'none';
  readonly trampolines: boolean;
  /** Per cent of the order-9 blocks of a node that are in pieces at boot. */
  readonly agedBuddy: number;
}

const POSTED = 'bpf-next v2 0/5 (S. Liu, 2022-11-07)';

export const EXECMEM_PARAMETERS: readonly Parameter[] = [
  {
    name: 'allocator',
    kind: 'choice',
    values: ['module_alloc', 'prog_pack', 'execmem-posted', 'execmem-rox', 'typed'],
    default: 'prog_pack',
    description: 'where the text of BPF programs comes from',
    follows: {
      module_alloc: 'bpf_jit_binary_alloc, up to v5.17: module_alloc, set_memory_ro and _x each',
      prog_pack: 'bpf_prog_pack_alloc, v5.18 (57631054fae6); arm64 v6.6 (18a45f12d746)',
      'execmem-posted': `execmem_alloc, ${POSTED}`,
      'execmem-rox': 'execmem_cache_alloc, v6.13 (2e45474ab14f), x86 only',
      typed: 'T. Gleixner, reply to the posted series: seven section types with mapto',
    },
  },
  {
    name: 'packPages',
    kind: 'choice',
    values: ['4K', '2M'],
    default: '4K',
    description: 'how a pack is mapped: 512 pages as measured, or one block',
    follows: {
      '4K': 'bpf_prog_pack as merged: module_alloc without huge vmalloc',
      '2M': 'bpf_prog_pack followup v6 0/5 (S. Liu, 2022-07-07): VM_ALLOW_HUGE_VMAP',
    },
  },
  {
    name: 'textTail',
    kind: 'flag',
    default: 'off',
    description: 'programs share the last 2 MiB of the kernel text',
    follows: { on: `register_text_tail_vm, ${POSTED}`, off: 'every other kernel' },
  },
  {
    name: 'rodata',
    kind: 'choice',
    values: ['off', 'noalias', 'full'],
    default: 'full',
    description: 'what set_memory_ro does to the linear alias of vmalloc memory',
    follows: {
      off: 'rodata=off: as noalias for text of BPF and modules (set_memory_ro still works)',
      noalias: 'rodata=noalias (old rodata=on): the alias stays writable',
      full: 'rodata=full (CONFIG_RODATA_FULL_DEFAULT_ENABLED): the alias follows',
    },
  },
  {
    name: 'linearMapBbm',
    kind: 'flag',
    default: 'off',
    description: 'the linear map has blocks, split live where the CPU has BBML2 without aborts',
    follows: {
      off: 'force_pte_mapping, up to v6.17: rodata=full maps the linear map by pages on arm64',
      on: 'split_kernel_leaf_mapping, v6.18 (a166563e7ec3): system_supports_bbml2_noabort',
    },
  },
  {
    name: 'poke',
    kind: 'choice',
    values: ['fixmap', 'temporary-mm', 'none'],
    default: '',
    description: 'how text is written: a window for all CPUs, or a mapping of one CPU',
    follows: {
      fixmap: 'patch_map, FIX_TEXT_POKE0 (arm64): a broadcast flush per page, then an IPI to all',
      'temporary-mm': '__text_poke, poking_mm (x86 v5.1): a local flush',
      none: 'no arch_fill_execmem: execmem_fill ends in -EOPNOTSUPP',
    },
  },
  {
    name: 'modulesRange',
    kind: 'choice',
    values: ['near', 'far', 'none'],
    default: 'near',
    description: 'where text goes: in reach of one branch to the kernel first, or not',
    follows: {
      near: 'module_init_limits, v6.5: a direct region beside the kernel, then 2 GiB by PLTs',
      far: 'the same with KASLR that left no direct region: 2 GiB by PLTs',
      none: 'CONFIG_MODULES=n: bpf_jit_alloc_exec of arm64, and the #else of the posted series',
    },
  },
  {
    name: 'trampolines',
    kind: 'flag',
    default: 'on',
    description: 'calls out of reach go through PLT entries; off: only text in reach is given out',
    follows: { on: 'module_emit_plt_entry (arm64)', off: 'CONFIG_ARM64_MODULE_PLTS=n, up to v6.4' },
  },
  {
    name: 'agedBuddy',
    kind: 'percent',
    default: '0',
    description: 'order-9 blocks of memory with contents that a long uptime has broken up',
    follows: { '0': 'a machine just booted' },
  },
];

/** What a user may choose at boot of any version. */
const PAGES: Runs = { packPages: ['4K'], textTail: ['off'], linearMapBbm: ['off'] };

export const EXECMEM_FAMILY: KernelFamily = {
  name: 'execmem',
  parameters: EXECMEM_PARAMETERS,
  versions: {
    'v5.17': { ...PAGES, allocator: ['module_alloc'] },
    'v6.0': { ...PAGES, allocator: ['prog_pack'] },
    'v6.2': { ...PAGES, allocator: ['prog_pack'], packPages: ['2M', '4K'] },
    'v6.5': { ...PAGES, allocator: ['prog_pack'], packPages: ['2M', '4K'] },
    'v6.13': { ...PAGES, allocator: ['execmem-rox'], packPages: ['2M', '4K'] },
    'posted:execmem-v2': {
      ...PAGES,
      allocator: ['execmem-posted'],
      packPages: ['2M', '4K'],
      textTail: ['off', 'on'],
    },
  },
  /** arm64 has bpf_prog_pack from v6.6 on, and no cache of ROX pages. */
  onMachine: (runs, machine) => ({
    ...runs,
    poke: [pokeOf(machine)],
    ...(machine.architecture === 'x86' ? {} : armRuns(runs)),
  }),
  decide: (parameters, machine) =>
    parameters['poke'] === '' || parameters['poke'] === undefined ? { poke: pokeOf(machine) } : {},
  check: (parameters, machine) =>
    checkExecmemOptions(resolveExecmemOptions(parameters, machine), machine),
};

function armRuns(runs: Runs): Runs {
  const newest = runs['allocator']?.includes('execmem-rox') === true;
  if (runs['allocator']?.includes('execmem-posted') === true) return {};
  return { allocator: [newest ? 'prog_pack' : 'module_alloc'], packPages: ['4K', '2M'] };
}

function pokeOf(machine: Machine): 'fixmap' | 'temporary-mm' {
  return machine.architecture === 'x86' ? 'temporary-mm' : 'fixmap';
}

export function resolveExecmemOptions(parameters: Parameters, machine: Machine): ExecmemOptions {
  const text = (name: string): string => {
    const value = parameters[name];
    if (value !== undefined) return String(value);
    return EXECMEM_PARAMETERS.find((parameter) => parameter.name === name)!.default;
  };
  const flag = (name: string): boolean => ['true', 'on'].includes(text(name));
  const poke = text('poke');
  return {
    allocator: text('allocator') as AllocatorName,
    packPages: text('packPages') as ExecmemOptions['packPages'],
    textTail: flag('textTail'),
    rodata: text('rodata') as ExecmemOptions['rodata'],
    linearMapBbm: flag('linearMapBbm'),
    poke: (poke === '' ? pokeOf(machine) : poke) as ExecmemOptions['poke'],
    modulesRange: text('modulesRange') as ExecmemOptions['modulesRange'],
    trampolines: flag('trampolines'),
    agedBuddy: Number(text('agedBuddy')),
  };
}

/** Refuses what the architecture makes impossible. */
export function checkExecmemOptions(options: ExecmemOptions, machine: Machine): void {
  const { features } = machine;
  checkReach(options, machine);
  const fills = options.allocator === 'module_alloc' || options.allocator === 'execmem-posted';
  if (options.poke === 'none' && !fills) {
    throw new UserError(
      `poke=none: allocator=${options.allocator} writes all code through a poke window; use ` +
        'poke=fixmap or temporary-mm, or allocator=module_alloc',
    );
  }
  if (options.linearMapBbm && machine.architecture === 'x86') {
    throw new UserError(
      `linearMapBbm=on: ${machine.name} is x86 and splits live mappings anyway; leave it out`,
    );
  }
  if (options.linearMapBbm && features.bbm !== '2-noabort') {
    throw new UserError(
      `linearMapBbm=on: ${machine.name} has cpu.bbm=${features.bbm}; the kernel splits live ` +
        'entries of the linear map on cores of its BBML2_NOABORT list only; use ' +
        'linearMapBbm=off, or a machine with cpu.bbm=2-noabort (ampereone_192c_1p)',
    );
  }
}

/** Reach exceeded and nothing that bridges it. */
function checkReach({ modulesRange, trampolines }: ExecmemOptions, machine: Machine): void {
  if (modulesRange === 'near') return;
  if (machine.architecture === 'x86') {
    throw new UserError(
      `modulesRange=${modulesRange}: ${machine.name} is x86, which has no PLT entries for text ` +
        'out of reach of CALL (+-2G); use modulesRange=near',
    );
  }
  if (trampolines) return;
  throw new UserError(
    `trampolines=off: with modulesRange=${modulesRange} text is out of reach of BL (+-128M); use ` +
      'trampolines=on or modulesRange=near',
  );
}
