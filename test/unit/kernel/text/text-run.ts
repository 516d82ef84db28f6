/** Small kernels with text of their own on the virtual engine, every checker on. */

import type { Parameters } from '../../../../src/base/parameters.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { CodePath } from '../../../../src/kernel/code/execute.ts';
import { bootSecondaryData } from '../../../../src/kernel/text/cpu-return.ts';
import { executeMeasured, fetchHitPs } from '../../../../src/kernel/text/fetch.ts';
import { startCpu } from '../../../../src/kernel/text/host-stage2.ts';
import {
  bootTextPatching,
  openTextPatching,
  type TextPatching,
  type TextPatchingImage,
} from '../../../../src/kernel/text/patching.ts';
import type { Machine } from '../../../../src/machine/machine.ts';
import { type Address, toLinear } from '../../../../src/memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../../../src/sync/qspinlock.ts';
import { type KernelOutcome, runKernelTest } from '../../../support/kernel-run.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

export interface TextImage {
  readonly patching: TextPatchingImage;
  readonly userRoots: readonly Address[];
  readonly secondaryData: Address;
  /** Two words that tests wait for. */
  readonly flags: Address;
}

export interface TextKernel extends TextPatching {
  readonly machine: Machine;
  readonly image: TextImage;
}

export interface TextTest {
  readonly parameters: Parameters;
  readonly machine?: Machine;
  readonly cpus?: readonly number[];
  /** Runs between the CPU's start and its leaving. */
  readonly life: (cpu: Cpu, kernel: TextKernel) => Program;
}

export function textMachine(nodeCount = 2): Machine {
  return makeTestMachine({
    cpuCount: nodeCount,
    nodeCount,
    features: { dic: false, idc: false },
  });
}

export function runTextTest(test: TextTest): KernelOutcome<TextImage> {
  const machine = test.machine ?? textMachine();
  const cpus = test.cpus ?? Array.from({ length: machine.cpuCount }, (_, cpu) => cpu);
  const lock = makeQueuedSpinlock();
  return runKernelTest<TextImage>({
    machine,
    cpus,
    backedBytes: 2 ** 20,
    kernelOptions: ['text'],
    streams: ['text'],
    parameters: { textSize: 131072, hotText: 65536, rodataSize: 65536, ...test.parameters },
    boot: (boot, { map, smp, text, userRoots }) => ({
      patching: bootTextPatching(boot, { map, userRoots, text: text!, smp: smp! }, lock),
      userRoots,
      secondaryData: bootSecondaryData(boot, 0),
      flags: toLinear(boot.allocate(0, 64)),
    }),
    *program(cpu, image): Program {
      const patching = openTextPatching(cpu, machine, image.patching, lock);
      const trap = (at: Cpu): Program => patching.hyp.trap(at);
      const root = image.userRoots[cpu.id]!;
      yield* startCpu(cpu, image.patching.text, root, trap);
      yield test.life(cpu, { ...patching, machine, image });
      yield* patching.smp.calls.leave(cpu);
    },
  });
}

/** Some hundred lines of kernel text. */
export function* executeSome(cpu: Cpu, { machine, image }: TextKernel, blocks = 300): Program {
  const { layout, hi, lo } = image.patching.text.code;
  const run = { hi, lo, stream: 0, blocks, hitPs: fetchHitPs(machine) };
  yield* executeMeasured(cpu, new CodePath(layout), run);
}
