/**
 * A workload for two workers: every CPU reads random lines of a set of its own on its own node, one
 * load in flight, 2 MiB pages. memory_latency does this with one CPU; here all do, and nobody
 * shares anything.
 */

import { MIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import {
  createUserSpace,
  enterUserSpace,
  mapUserPages,
  pageBytesOf,
  pageShiftOf,
  tableBytes,
  type UserSpace,
} from '../../workloads/common/user-space.ts';
import { numberOf } from '../../workloads/common/values.ts';
import type { Workload, WorkloadContext } from '../../workloads/workload.ts';

const SET_BYTES = 32 * MIB;
const LINE_MASK = SET_BYTES / 64 - 1;

function boot(memory: BootMemory, context: WorkloadContext): readonly UserSpace[] {
  return context.placement.cpus.map((cpu) => {
    const node = context.machine.nodeOfCpu[cpu]!;
    const space = createUserSpace(memory, node);
    const physical = memory.allocateUnbacked(node, SET_BYTES, pageBytesOf('2M'));
    mapUserPages(memory, space, { hi: 0, lo: 0 }, physical, SET_BYTES, pageShiftOf('2M'));
    return space;
  });
}

function* chase(cpu: Cpu, space: UserSpace, reads: number): Program {
  yield* enterUserSpace(cpu, space);
  for (let i = 0; i < reads; i++) {
    const address = (cpu.random(0) & LINE_MASK) << 6;
    while (!cpu.load64(0, address, Order.Relaxed)) yield;
    cpu.mark();
  }
}

export const privateChase: Workload = {
  name: 'private_chase',
  description: 'every CPU reads random lines of memory of its own',
  source: 'as memory_latency, on all CPUs',
  parameters: [
    {
      name: 'reads',
      kind: 'count',
      default: '10000',
      minimum: 1,
      maximum: 100_000_000,
      description: 'loads per CPU',
    },
  ],
  kernelOptions: [],
  seedMoves: ['which lines are read'],
  phases: [{ name: 'chase' }],
  streams: ['lines'],
  defaultMachine: 'graviton4_2p',
  defaultCpus: () => 64,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  operations: ({ placement, parameters }) => placement.cpus.length * numberOf(parameters, 'reads'),
  backedBytes: ({ placement }) =>
    MIB + placement.cpus.length * tableBytes(SET_BYTES, pageShiftOf('2M')),
  boot,
  program: (cpu, image, context) => {
    const role = context.placement.cpus.indexOf(cpu.id);
    if (role < 0) return null;
    const spaces = image as readonly UserSpace[];
    return chase(cpu, spaces[role]!, numberOf(context.parameters, 'reads'));
  },
};
