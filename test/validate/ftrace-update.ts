/**
 * A workload for the cost of read-only text at boot: ftrace's first update of all call sites
 * (ftrace_update_code, v6.12) on memory that is still writable, where each is written directly
 * (text_poke_early: interrupts off, memcpy, sync_core), and on memory that came read-only and
 * executable, where each is a poke through the temporary mm (text_poke).
 *
 * Deviations: a site is an aligned word of four bytes; the records are walked in order, without the
 * lookups by name; pages of text have 16 sites each, as 57,700 in 14 MiB.
 */

import { MIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Fence, Order } from '../../src/cpu/operations.ts';
import { rcuExitIdle } from '../../src/kernel/base/rcu.ts';
import { Rcu } from '../../src/kernel/base/rcu-callbacks.ts';
import { fillWith } from '../../src/kernel/patching/text-poke.ts';
import { type Address, addBytes, toLinear } from '../../src/memory/physical-address.ts';
import { barrier } from '../../workloads/common/barrier.ts';
import {
  type BpfMachineImage,
  bootBpfMachine,
  bpfMachineBytes,
  openBpfMachine,
} from '../../workloads/common/bpf-machine.ts';
import { numberOf } from '../../workloads/common/values.ts';
import type { Workload, WorkloadContext } from '../../workloads/workload.ts';

const SITE_BYTES = 256;
/** struct dyn_ftrace: ip, flags. */
const RECORD_BYTES = 16;
/** NOP5's first word. */
const NOP = 0x00441f0f;
const SIZES = { loaders: 1, liveMax: 1, userTextBytes: 0 };
const Phase = { Start: 0, Direct: 1, Poke: 2, End: 3 } as const;

interface FtraceImage {
  readonly bpf: BpfMachineImage;
  /** Linear-map addresses. */
  readonly records: Address;
  readonly writable: Address;
}

function sitesOf({ parameters }: WorkloadContext): number {
  return numberOf(parameters, 'sites');
}

/** One record: read, verified (ftrace_verify_code), written by `write`, marked. */
function* site(cpu: Cpu, record: Address, text: Address, write: Program): Program {
  while (!cpu.load64(record.hi, record.lo, Order.Relaxed)) yield;
  while (!cpu.load32(text.hi, text.lo, Order.Relaxed)) yield;
  yield* write;
  while (!cpu.store64(record.hi, record.lo + 8, 0, 1, Order.Relaxed)) yield;
  cpu.mark();
}

/** text_poke_early. */
function* writeDirectly(cpu: Cpu, { hi, lo }: Address): Program {
  const interrupts = cpu.interrupts(false);
  while (!cpu.store32(hi, lo, NOP, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  cpu.interrupts(interrupts);
}

function* update(cpu: Cpu, image: FtraceImage, context: WorkloadContext): Program {
  const { parts, memory } = openBpfMachine(cpu, context, image.bpf);
  const sites = sitesOf(context);
  yield* memory.allocate(cpu, sites * SITE_BYTES);
  if (cpu.ret < 0) throw new Error(`no room for ${sites} sites in a pack`);
  const readOnly = { hi: cpu.hi, lo: cpu.lo };
  cpu.phase(Phase.Direct);
  for (let index = 0; index < sites; index++) {
    const at = addBytes(image.writable, index * SITE_BYTES);
    const record = addBytes(image.records, index * RECORD_BYTES);
    yield site(cpu, record, at, writeDirectly(cpu, at));
  }
  cpu.phase(Phase.Poke);
  for (let index = 0; index < sites; index++) {
    const at = addBytes(readOnly, index * SITE_BYTES);
    const record = addBytes(image.records, (sites + index) * RECORD_BYTES);
    yield site(cpu, record, at, parts.poke.write(cpu, at.hi, at.lo, 4, fillWith(NOP)));
  }
  cpu.phase(Phase.End);
  yield* memory.free(cpu, readOnly.hi, readOnly.lo, sites * SITE_BYTES);
}

function* participant(cpu: Cpu, image: FtraceImage, context: WorkloadContext): Program {
  const { cpus } = context.placement;
  const { start, rcu } = image.bpf;
  while (!rcuExitIdle(cpu)) yield;
  if (cpu.id === cpus[0]) yield update(cpu, image, context);
  yield barrier(cpu, start.hi, start.lo, cpus.length);
  yield new Rcu(rcu, []).finish(cpu);
  yield openBpfMachine(cpu, context, image.bpf).parts.smp.calls.leave(cpu);
}

export const ftraceUpdate: Workload = {
  name: 'ftrace_update',
  description: 'call sites of ftrace written directly and through pokes',
  source: 'kernel/trace/ftrace.c: ftrace_update_code; S. Rostedt on execmem ROX v7 (2024-10)',
  parameters: [
    {
      name: 'sites',
      kind: 'count',
      default: '2000',
      minimum: 1,
      maximum: 8000,
      description: 'call sites',
    },
  ],
  kernelOptions: ['execmem'],
  kernelDefaults: { allocator: 'prog_pack' },
  seedMoves: [],
  phases: [
    { name: 'start', warmUp: true },
    { name: 'direct' },
    { name: 'poke' },
    { name: 'end', warmUp: true },
  ],
  streams: [],
  defaultMachine: 'xeon_skylake_6140_2p',
  defaultCpus: () => 1,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) => {
    const text = sitesOf(context) * (SITE_BYTES + 2 * RECORD_BYTES);
    return bpfMachineBytes(context, SIZES) + text + MIB;
  },
  operations: (context) => 2 * sitesOf(context),
  boot: (boot, context, kernel) => {
    const node = context.machine.nodeOfCpu[context.placement.cpus[0]!]!;
    const sites = sitesOf(context);
    const records = toLinear(boot.allocate(node, sites * 2 * RECORD_BYTES, 4096));
    const writable = toLinear(boot.allocate(node, sites * SITE_BYTES, 4096));
    return { bpf: bootBpfMachine(boot, context, kernel, SIZES), records, writable };
  },
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id)
      ? participant(cpu, image as FtraceImage, context)
      : null,
};
