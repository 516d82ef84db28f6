/**
 * Which programs a BPF workload loads: the published sizes or one size, and the charge limit
 * (net.core.bpf_jit_limit), beyond which programs are interpreted (kernel/bpf/core.c:
 * bpf_jit_charge_modmem).
 */

import type { Parameter, Parameters } from '../../src/base/parameters.ts';
import { MIB } from '../../src/base/units.ts';
import { programBytes } from '../../src/kernel/bpf/program-size.ts';
import { isUnset, numberOf } from './values.ts';

const PAGE_BYTES = 4096;
/** One JITed instruction of eBPF. */
const SIZE_MIN_BYTES = 8;

export const PROGRAM_PARAMETERS: readonly Parameter[] = [
  {
    name: 'programSize',
    kind: 'size',
    default: '',
    minimum: SIZE_MIN_BYTES,
    maximum: 64 * MIB,
    description: 'code of every program; default: drawn from the published sizes',
  },
  {
    name: 'jitLimit',
    kind: 'size',
    default: '1G',
    minimum: PAGE_BYTES,
    maximum: 2 ** 31,
    description: 'bpf_jit_limit: text beyond it is interpreted',
  },
];

/** Code of the next program, a multiple of 4, from 32 random bits. */
export function sizeOfProgram(parameters: Parameters, word: number): number {
  if (isUnset(parameters, 'programSize')) return programBytes(word);
  return Math.ceil(numberOf(parameters, 'programSize') / 4) * 4;
}

/** What sizes of a BPF machine follow from these options. */
export function programSizes(parameters: Parameters): {
  readonly jitLimitPages: number;
  readonly programBytesMax?: number;
} {
  const jitLimitPages = Math.floor(numberOf(parameters, 'jitLimit') / PAGE_BYTES);
  if (isUnset(parameters, 'programSize')) return { jitLimitPages };
  return { jitLimitPages, programBytesMax: sizeOfProgram(parameters, 0) };
}
