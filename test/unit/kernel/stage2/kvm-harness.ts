/**
 * Boots virtual machines on the step engine, runs programs on them and checks what must hold after.
 */

import { assert } from '../../../../src/base/assert.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { EventKind } from '../../../../src/cpu/operations.ts';
import { rcuExitIdle } from '../../../../src/kernel/base/rcu.ts';
import { auditPages, type PageCensus } from '../../../../src/kernel/base/zone-audit.ts';
import { backingOf } from '../../../../src/kernel/stage2/backing.ts';
import { bootKvm } from '../../../../src/kernel/stage2/boot-kvm.ts';
import type { BootSlot } from '../../../../src/kernel/stage2/boot-vm.ts';
import type { HostPolicy } from '../../../../src/kernel/stage2/host-table.ts';
import { resolveStage2Options, type Stage2Options } from '../../../../src/kernel/stage2/options.ts';
import { type KvmImage, openVms, type Vm } from '../../../../src/kernel/stage2/vm.ts';
import type { Features } from '../../../../src/machine/machine.ts';
import type { Counter } from '../../../../src/metrics/definition.ts';
import { GRANULE_4K } from '../../../../src/translation/granule.ts';
import { type SoftwareWalk, softwareWalk } from '../../../../src/translation/software-walk.ts';
import { StepEngine } from '../../../support/step-engine.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';
import { type AccessWitness, GuestTranslation } from './guest-translation.ts';

export const TEST_IPA = 0x4000_0000;
export const TEST_VA = 0xc000_0000;
const IPA_BITS = 40;
const MIB = 2 ** 20;

export interface HarnessOptions {
  readonly seed?: number;
  readonly vcpus?: number;
  /** CPUs beside the vCPUs'. */
  readonly helpers?: number;
  readonly vms?: number;
  readonly options?: Partial<Stage2Options>;
  readonly features?: Partial<Features>;
  readonly slots?: readonly Partial<BootSlot>[];
  readonly backing?: string;
  readonly bytes?: number;
  readonly vmidBits?: number;
  readonly memoryBytesPerNode?: number;
  readonly policy?: HostPolicy;
  /** All VMs on the same CPUs, in turn. */
  readonly shareCpus?: boolean;
  readonly witness?: AccessWitness;
}

export class KvmHarness {
  readonly engine: StepEngine;
  readonly image: KvmImage;
  readonly translation: GuestTranslation;
  readonly vcpus: number;
  /** Table pages that were freed, to be compared with walks. */
  readonly freedTables: number[] = [];

  constructor(options: HarnessOptions = {}) {
    const vcpus = options.vcpus ?? 3;
    const vmCount = options.vms ?? 1;
    const sets = options.shareCpus === true ? 1 : vmCount;
    const cpuCount = Math.max(2, vcpus * sets + (options.helpers ?? 1));
    this.vcpus = vcpus;
    this.translation = new GuestTranslation(IPA_BITS, options.witness);
    const machine = makeTestMachine({
      cpuCount,
      nodeCount: 2,
      ...(options.memoryBytesPerNode === undefined
        ? {}
        : { memoryBytesPerNode: options.memoryBytesPerNode }),
      features: { dic: true, vmidBits: 8, ...options.features },
    });
    this.engine = new StepEngine({
      machine,
      seed: options.seed ?? 1,
      backedBytes: 6 * MIB,
      stepLimit: 3_000_000,
      ...this.translation.hooks(),
      onEvent: (_, kind, hi, lo) => {
        if (kind === EventKind.TablePageFreed) this.freedTables.push(hi * 2 ** 32 + (lo >>> 0));
      },
    });
    const resolved = { ...resolveStage2Options({}, machine), ...options.options };
    const slot: BootSlot = {
      baseIpa: TEST_IPA,
      bytes: options.bytes ?? 4 * MIB,
      backing: backingOf(options.backing ?? 'anonymous'),
      guestVirtual: TEST_VA,
      present: true,
    };
    const slots = (options.slots ?? [{}]).map((changes) => ({ ...slot, ...changes }));
    this.image = bootKvm(this.engine.boot, {
      options: resolved,
      vms: Array.from({ length: vmCount }, (_, vm) => ({
        name: vmCount === 1 ? 'kvm' : `kvm${vm}`,
        vcpuCpus: Array.from({ length: vcpus }, (__, i) => (vm % sets) * vcpus + i),
        node: 0,
        slots,
        ipaBits: IPA_BITS,
      })),
      cpus: Array.from({ length: cpuCount }, (_, cpu) => cpu),
      policy: options.policy ?? { kind: 'first-touch', node: 0, nodes: [0, 1] },
      ...(options.vmidBits === undefined ? {} : { vmidBits: options.vmidBits }),
      shuffleSeed: options.seed ?? 1,
    });
  }

  /** Runs a program per CPU as a host thread: in RCU from start to end. */
  run(
    programs: readonly ((cpu: Cpu, vm: Vm) => Program)[],
    vmOfCpu?: (cpu: number) => number,
  ): void {
    this.engine.run(
      programs.map((program) => (cpu: Cpu) => {
        const vms = openVms(this.image);
        const vm = vms[vmOfCpu?.(cpu.id) ?? 0]!;
        return hostThread(cpu, vm, program);
      }),
    );
  }

  counter(counter: (typeof Counter)[keyof typeof Counter]): number {
    return this.engine.cpus.reduce((sum, cpu) => sum + (cpu.counters.get(counter) ?? 0), 0);
  }

  /** Stage-2 walk of an offset of the test slot, without cost. */
  walk(offset: number, vm = 0): SoftwareWalk {
    const image = this.image.vms[vm]!;
    const pgd = { hi: image.kvmHi & 0xffff, lo: image.field.pgd };
    const root = { hi: this.engine.peek32(pgd, 4), lo: this.engine.peek32(pgd) };
    const ipa = TEST_IPA + offset;
    return softwareWalk(
      this.engine.memory,
      { root, granule: GRANULE_4K, startLevel: image.startLevel, inputBits: image.ipaBits },
      Math.floor(ipa / 2 ** 32),
      ipa | 0,
    );
  }

  /** Word of a slot's dirty bitmap (or of user space's copy) that holds a page's bit. */
  isDirty(page: number, slot = 1): boolean {
    const { bitmapHi, bitmapLo } = this.image.vms[0]!.slots[slot]!;
    const word = this.engine.peek32({ hi: bitmapHi, lo: bitmapLo + (page >>> 5) * 4 });
    return ((word >>> (page & 31)) & 1) === 1;
  }

  audit(): PageCensus[] {
    return auditPages(this.image.pages, (hi, lo) => this.engine.memory.peek32(hi, lo));
  }
}

function* hostThread(cpu: Cpu, vm: Vm, program: (cpu: Cpu, vm: Vm) => Program): Program {
  while (!rcuExitIdle(cpu)) yield;
  yield program(cpu, vm);
  yield vm.rcu.finish(cpu);
}

/** Guest-virtual address of an offset of the test slot. */
export function guestVa(offset: number): { hi: number; lo: number } {
  const va = TEST_VA + offset;
  assert(va < 2 ** 48, 'test memory is in the lower half');
  return { hi: Math.floor(va / 2 ** 32), lo: va | 0 };
}
