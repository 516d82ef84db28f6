/**
 * Promise: KVM's stage-2 code runs on the explore engine as it is, sequentially consistent and tso:
 * vCPUs that fault on the same pages end in one mapping each, whatever the schedule.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { PER_CPU_BYTES } from '../../../../src/cpu/per-cpu.ts';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import { Explorer } from '../../../../src/engine/explore/explorer.ts';
import { runSchedule } from '../../../../src/engine/explore/run-schedule.ts';
import { RandomWalk } from '../../../../src/engine/explore/strategies/random.ts';
import { rcuExitIdle } from '../../../../src/kernel/base/rcu.ts';
import { backingOf } from '../../../../src/kernel/stage2/backing.ts';
import { bootKvm } from '../../../../src/kernel/stage2/boot-kvm.ts';
import { resolveStage2Options, type Stage2Options } from '../../../../src/kernel/stage2/options.ts';
import { guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import { openVms, type Vm } from '../../../../src/kernel/stage2/vm.ts';
import { BootMemory } from '../../../../src/memory/boot.ts';
import { PhysicalMemory } from '../../../../src/memory/physical-memory.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';
import { guestVa, TEST_IPA, TEST_VA } from '../../kernel/stage2/kvm-harness.ts';

const VCPUS = 2;
const PAGES = 3;
const MIB = 2 ** 20;

function openKvm(model: MemoryModel, options: Partial<Stage2Options>): Explorer {
  const cpuCount = VCPUS + 1;
  const machine = makeTestMachine({
    cpuCount,
    nodeCount: 1,
    features: { dic: true, vmidBits: 8 },
  });
  const memory = new PhysicalMemory(PhysicalMemory.allocate(machine.memoryBytesOfNode, 6 * MIB));
  const boot = new BootMemory(machine, memory);
  const perCpu = Array.from({ length: cpuCount }, (_, cpu) =>
    boot.allocateNamed(`cpu${cpu}`, 0, PER_CPU_BYTES, 4096),
  );
  const image = bootKvm(boot, {
    options: { ...resolveStage2Options({}, machine), ...options },
    vms: [
      {
        name: 'kvm',
        vcpuCpus: [0, 1],
        node: 0,
        slots: [
          {
            baseIpa: TEST_IPA,
            bytes: 4 * MIB,
            backing: backingOf('anonymous'),
            guestVirtual: TEST_VA,
            present: true,
          },
        ],
        ipaBits: 40,
      },
    ],
    cpus: Array.from({ length: cpuCount }, (_, cpu) => cpu),
    policy: { kind: 'first-touch', node: 0, nodes: [0] },
    shuffleSeed: 1,
  });
  return new Explorer(
    {
      machine,
      memory,
      symbols: boot.symbols,
      perCpu,
      cpuCount: VCPUS,
      program: (cpu) => hostThread(cpu, openVms(image)[0]!),
    },
    { model, seed: 1, stepLimit: 200_000 },
  );
}

function* hostThread(cpu: Cpu, vm: Vm): Program {
  while (!rcuExitIdle(cpu)) yield;
  yield runVcpu(cpu, vm, cpu.id, function* (at, vcpu): Program {
    for (let page = 0; page < PAGES; page++) {
      const { hi, lo } = guestVa(page * 4096);
      yield* guestStore(at, vcpu, hi, lo, 0, page);
    }
  });
  yield vm.rcu.finish(cpu);
}

describe.each(['sc', 'tso'] as const)('stage-2 faults under %s', (model) => {
  it.each(['exclusive', 'relax-shared', 'parallel'] as const)('faults=%s', (faults) => {
    const prune = faults === 'parallel' ? 'rcu-callback' : 'immediate';
    const explorer = openKvm(model, { faults, prune });
    const strategy = new RandomWalk(1);
    for (let i = 0; i < 12; i++) {
      const { outcome, finding } = runSchedule(explorer, strategy, i);
      expect(finding).toBeNull();
      expect(outcome).toBe('passed');
      const mapped = explorer.cpus.reduce(
        (sum, { counters }) => sum + counters[Counter.FaultsMapped]!,
        0,
      );
      expect(mapped).toBe(PAGES);
    }
  });
});
