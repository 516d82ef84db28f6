/**
 * A stress target on the explore engine: boots it once and hands its programs to an explorer, which
 * runs schedule after schedule from that boot.
 */

import { PER_CPU_BYTES } from '../cpu/per-cpu.ts';
import type { MemoryModel } from '../engine/explore/execution.ts';
import { Explorer } from '../engine/explore/explorer.ts';
import { USUAL_TRANSLATION } from '../engine/explore/mmu.ts';
import type { Observer } from '../engine/explore/observer.ts';
import { BootMemory } from '../memory/boot.ts';
import type { Address } from '../memory/physical-address.ts';
import { PhysicalMemory } from '../memory/physical-memory.ts';
import type { Finding, Memory, Reporter, StressImage, StressSize, StressTarget } from './target.ts';

export interface TargetOptions {
  readonly model: MemoryModel;
  /** Of the programs' own random numbers; schedules have the strategy's. */
  readonly seed: number;
  readonly stepLimit?: number;
  /** Makes the oracles' observer; `fail` ends the schedule. */
  observe?(explorer: Explorer, image: StressImage): Observer | null;
}

export const STEP_LIMIT = 20_000;

export interface OpenTarget {
  readonly target: StressTarget;
  readonly size: StressSize;
  readonly image: StressImage;
  readonly explorer: Explorer;
  /** Emulated memory as the schedule left it. */
  readonly memory: Memory;
}

export function openTarget(
  target: StressTarget,
  size: StressSize,
  options: TargetOptions,
): OpenTarget {
  const { machine, backedBytes } = target.resized?.(size.cpus) ?? target;
  const memory = new PhysicalMemory(
    PhysicalMemory.allocate(machine.memoryBytesOfNode, backedBytes),
  );
  const boot = new BootMemory(machine, memory);
  const perCpu = Array.from({ length: machine.cpuCount }, (_, cpu) =>
    boot.allocateNamed(`cpu${cpu}`, machine.nodeOfCpu[cpu]!, PER_CPU_BYTES, 4096),
  );
  const image = target.boot(boot, size);
  const word = ({ hi, lo }: Address): number => explorer.memory.peek32(hi & 0xffff, lo);
  const report: Reporter = {
    word,
    reach: (goal) => explorer.reach(goal),
    fail: (finding: Finding) => explorer.fail(finding),
  };
  const view: Memory = { word };
  const explorer: Explorer = new Explorer(
    {
      machine,
      memory,
      symbols: boot.symbols,
      perCpu,
      cpuCount: size.cpus,
      translation: { ...USUAL_TRANSLATION, ...image.kernel },
      program: (cpu) => target.program(cpu, image, size, report),
      finish: () => target.finish(view, image, size, report),
    },
    { model: options.model, seed: options.seed, stepLimit: options.stepLimit ?? STEP_LIMIT },
  );
  explorer.observer = options.observe?.(explorer, image) ?? null;
  return { target, size, image, explorer, memory: view };
}
