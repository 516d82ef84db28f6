/**
 * Pokes through the fixmap's one window for all CPUs: each CPU writes a word into a page of its
 * own, again and again, and in between looks the window's address up as speculation may, whoever
 * has it open. On a machine without DVM (x86 with arm64's poke, which no kernel has) flushes go by
 * IPI.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind } from '../../cpu/operations.ts';
import {
  bootFixmap,
  type FixmapImage,
  type FixmapSteps,
  fixmapSteps,
  makeFixmapPoke,
  POKE_WINDOW,
} from '../../kernel/patching/fixmap-poke.ts';
import { cleanInvalidateToPou } from '../../kernel/patching/icache.ts';
import { fillWith } from '../../kernel/patching/text-poke.ts';
import type { SmpImage } from '../../kernel/smp/call-function.ts';
import { openKernelSmp } from '../../kernel/smp/functions.ts';
import type { Machine } from '../../machine/machine.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { WRITE_XOR_EXECUTE } from '../oracles/write-xor-execute.ts';
import type { Memory, Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import {
  type Architecture,
  bootSmallKernel,
  kernelRoots,
  kernelShape,
  PAGE,
} from './small-kernel.ts';

const ROOM_BYTES = 24 * PAGE;
const SEEN = 'the window of another CPU was looked up';
const CLOSED = 'the window was found closed';

export interface TextPokeOptions {
  readonly architecture?: Architecture;
  readonly steps?: Partial<FixmapSteps>;
  readonly name?: string;
}

export function textPokeTarget(options: TextPokeOptions = {}): StressTarget {
  const { architecture = 'arm64', steps = {}, name = 'text-poke' } = options;
  const shape = kernelShape(2, ROOM_BYTES, architecture);
  const all = { ...fixmapSteps, ...steps };
  return {
    name,
    group: 'text',
    description: 'pokes of several CPUs through the one window of the fixmap',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [SEEN, CLOSED].map((goal) => ({ name: goal, leastCpus: 2, leastOperations: 1 })),
    ...shape,
    boot(memory, size) {
      const { map, smp } = bootSmallKernel(memory, size.cpus);
      const fixmap = bootFixmap(memory, map, 0, makeQueuedSpinlock());
      const pages = memory.allocateText('text', 0, size.cpus * PAGE, PAGE);
      const parts = { fixmap, smp };
      return { addresses: { pages }, numbers: {}, kernel: kernelRoots(map), parts };
    },
    program(cpu, image, size, report) {
      return cpu.id < size.cpus ? poke(cpu, shape.machine, image, size, all, report) : null;
    },
    finish(memory, image, size, report) {
      for (let cpu = 0; cpu < size.cpus; cpu++) {
        checkPoked(memory, siteOf(image, cpu), wordOf(cpu, size.operations), report);
      }
    },
  };
}

function siteOf(image: StressImage, cpu: number): Address {
  return addBytes(image.addresses['pages']!, cpu * PAGE);
}

function wordOf(cpu: number, round: number): number {
  return 0x1000 * (cpu + 1) + round;
}

function* poke(
  cpu: Cpu,
  machine: Machine,
  image: StressImage,
  size: StressSize,
  steps: FixmapSteps,
  report: Reporter,
): Program {
  const { fixmap, smp } = image.parts as { fixmap: FixmapImage; smp: SmpImage };
  const own = openKernelSmp(cpu, machine, smp);
  const site = siteOf(image, cpu.id);
  const text = toLinear(site);
  const window = makeFixmapPoke(
    fixmap,
    makeQueuedSpinlock(),
    own.flushKernelRange,
    (at) => {
      at.hi = site.hi;
      at.lo = site.lo;
      return (function* (): Program {})();
    },
    steps,
  );
  cpu.event(EventKind.PokeWindow, fixmap.entry.hi, fixmap.entry.lo);
  for (let round = 1; round <= size.operations; round++) {
    while (!cpu.translate(POKE_WINDOW.hi, POKE_WINDOW.lo, false)) yield;
    report.reach(cpu.ok ? SEEN : CLOSED);
    const word = wordOf(cpu.id, round);
    yield* window.write(cpu, text.hi, text.lo, 4, fillWith(word));
    yield* cleanInvalidateToPou(cpu, machine, text.hi, text.lo, 4);
    checkPoked(report, site, word, report);
    cpu.mark();
  }
  yield* own.calls.leave(cpu);
}

/** Whose poke has returned finds its word, as nobody else writes there. */
function checkPoked(memory: Memory, site: Address, word: number, report: Reporter): void {
  if (memory.word(site) === word) return;
  const text = 'a poke has gone elsewhere, or another has come here';
  report.fail({ oracle: WRITE_XOR_EXECUTE, cpus: [], text, hi: site.hi, lo: site.lo });
}
