/** Programs over the parts of executable memory, on the virtual engine with every checker on. */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { bootExecmem, type ExecmemImage, execmemBytes } from '../../src/kernel/execmem/boot.ts';
import { type ExecmemOptions, resolveExecmemOptions } from '../../src/kernel/execmem/options.ts';
import { type ExecmemParts, openExecmemParts } from '../../src/kernel/execmem/parts.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { Workload } from '../../workloads/workload.ts';
import { type KernelOutcome, runKernelTest } from './kernel-run.ts';
import { makeTestMachine } from './test-machine.ts';

const AREAS = 300;

export interface ExecmemTest {
  readonly architecture?: 'arm64' | 'x86';
  readonly options: Partial<ExecmemOptions>;
  readonly cpus?: number;
  /** Pages to give out. */
  readonly pagesBytes?: number;
  readonly kernelOptions?: Workload['kernelOptions'];
  readonly areas?: number;
  program(cpu: Cpu, parts: ExecmemParts): Program;
}

export function execmemMachine(architecture: 'arm64' | 'x86', cpus: number): Machine {
  const bbm = architecture === 'x86' ? '2-noabort' : '0';
  const test = makeTestMachine({ cpuCount: cpus, nodeCount: 1, features: { bbm } });
  return { ...test, architecture };
}

export function runExecmem(test: ExecmemTest): KernelOutcome<ExecmemImage> {
  const { architecture = 'x86', cpus = 1, areas = AREAS, pagesBytes = 8 * 2 ** 20 } = test;
  const machine = execmemMachine(architecture, cpus);
  const options = { ...resolveExecmemOptions({}, machine), ...test.options };
  return runKernelTest<ExecmemImage>({
    machine,
    cpus: Array.from({ length: cpus }, (_, cpu) => cpu),
    backedBytes: pagesBytes + execmemBytes(machine, areas, 0, options.textTail),
    ...(test.kernelOptions === undefined ? {} : { kernelOptions: test.kernelOptions }),
    boot: (boot, { map, userRoots, smp, text }) =>
      bootExecmem(boot, {
        options,
        map,
        userRoots,
        smp: smp!,
        replicatedText: false,
        text,
        areas,
        lazyPagesMax: 64,
      }),
    *program(cpu, image) {
      const parts = openExecmemParts(cpu, machine, image);
      yield test.program(cpu, parts);
      yield* parts.smp.calls.leave(cpu);
    },
  });
}
