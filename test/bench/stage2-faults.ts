/**
 * Stage-2 faults per second of one worker thread, all steps of the fault path emulated, in
 * dirty_log_perf_test: `map` while the vCPUs populate their memory, `relax` in the second iteration
 * over pages that clearing the log has write-protected. The host has no FWB, so mapping a page
 * cleans it: as one attempt, or (`cmo=line`) line by line.
 */

import type { Cpu } from '../../src/cpu/cpu.ts';
import { Counter } from '../../src/metrics/definition.ts';
import { contextOf } from '../../src/run/run-spec.ts';
import { resolveSpecification } from '../../src/run/specification.ts';
import { phasesOf } from '../../workloads/workload.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { runInProcess } from './raw-machine.ts';
import { bareRate, cpuSeconds } from './stopwatch.ts';

const THOUSAND = 1e3;

interface Phase {
  readonly faults: number;
  readonly accesses: number;
  readonly seconds: number;
}

/** Thrown when the phase is over: nothing after it is of interest. */
class PhaseOver extends Error {}

/** What a virtual CPU has beside the operations. */
interface Counting {
  readonly counters: Float64Array;
}

class PhaseProbe {
  readonly #phase: number;
  readonly #cpus: (Cpu & Counting)[] = [];
  readonly #inside = new Set<number>();
  #start = 0;
  #before = { faults: 0, accesses: 0 };
  result: Phase | null = null;

  constructor(phase: number) {
    this.#phase = phase;
  }

  readonly watch = (cpu: Cpu): void => {
    this.#cpus.push(cpu as Cpu & Counting);
    const enter = cpu.phase.bind(cpu);
    cpu.phase = (index) => {
      enter(index);
      this.#moved(cpu.id, index);
    };
  };

  #moved(cpu: number, phase: number): void {
    if (phase === this.#phase) {
      if (this.#inside.size === 0) {
        this.#start = cpuSeconds();
        this.#before = this.#sums();
      }
      this.#inside.add(cpu);
    } else if (this.#inside.delete(cpu) && this.#inside.size === 0) {
      const { faults, accesses } = this.#sums();
      this.result = {
        faults: faults - this.#before.faults,
        accesses: accesses - this.#before.accesses,
        seconds: cpuSeconds() - this.#start,
      };
      throw new PhaseOver();
    }
  }

  #sums(): { faults: number; accesses: number } {
    const sum = (counter: number): number =>
      this.#cpus.reduce((total, cpu) => total + cpu.counters[counter]!, 0);
    const accesses = sum(Counter.L1Hits) + sum(Counter.L2Hits) + sum(Counter.Misses);
    return { faults: sum(Counter.FaultsStage2), accesses };
  }
}

async function measurePhase(
  phaseName: string,
  vcpus: number,
  assignments: readonly string[],
): Promise<Phase> {
  const spec = await resolveSpecification({
    workload: 'dirty_log_perf_test',
    cpus: String(vcpus + 1),
    assignments,
    check: false,
  });
  const context = contextOf(spec, 1);
  const index = phasesOf(spec.workload, context).findIndex(({ name }) => name === phaseName);
  const probe = new PhaseProbe(index);
  try {
    runInProcess(spec.workload, context, probe.watch);
  } catch (error) {
    if (!(error instanceof PhaseOver)) throw error;
  }
  if (probe.result === null || probe.result.faults === 0) throw new Error(`no ${phaseName} faults`);
  return probe.result;
}

function bareFaults(accesses: number): number {
  const words = new Int32Array(16 * 1024);
  const each = Math.round(accesses);
  return bareRate(5e5, (faults) => {
    let at = 1;
    for (let i = 0; i < faults * each; i++) at = (words[at]! + at * 5 + 1) & (words.length - 1);
    return at;
  });
}

interface Setting {
  readonly phase: string;
  readonly goal: number | null;
  readonly assignments: readonly string[];
}

const SETTINGS: Readonly<Record<string, Setting>> = {
  map: { phase: 'populate', goal: 150, assignments: [] },
  mapByLines: { phase: 'populate', goal: null, assignments: ['cmo=line'] },
  relax: { phase: 'dirty-2', goal: 150, assignments: [] },
};

function faultBenchmark(kind: string, vcpus: number, perVcpu: string): Benchmark {
  const { phase, goal, assignments } = SETTINGS[kind]!;
  const options = ['backing=anonymous', `perVcpuMemory=${perVcpu}`, ...assignments];
  const few = ['backing=anonymous', 'perVcpuMemory=8M', ...assignments];
  return {
    name: `stage2.${kind}${vcpus}`,
    description:
      `dirty_log_perf_test ${options.join(' ')}, ${vcpus} vCPU${vcpus === 1 ? '' : 's'}: ` +
      `faults in phase ${phase}`,
    boundIs: 'as many dependent loads of a typed array as the fault path makes accesses',
    unit: 'k faults/s',
    goal: goal === null ? null : { of: 'value', atLeast: goal },
    measure: async (): Promise<Measured> => {
      // Once before, or half of the time would go into compiling the fault path.
      await measurePhase(phase, 2, few);
      const { faults, accesses, seconds } = await measurePhase(phase, vcpus, options);
      const each = accesses / faults;
      return {
        value: faults / seconds / THOUSAND,
        bound: bareFaults(each) / THOUSAND,
        note: `${each.toFixed(0)} accesses each`,
      };
    },
  };
}

/** 100,000 faults each, so that compiling the fault path is a small part of the time. */
export const STAGE2_BENCHMARKS: readonly Benchmark[] = [
  faultBenchmark('map', 1, '512M'),
  faultBenchmark('map', 48, '8M'),
  faultBenchmark('mapByLines', 1, '8M'),
  faultBenchmark('mapByLines', 48, '256K'),
  faultBenchmark('relax', 1, '512M'),
  faultBenchmark('relax', 48, '8M'),
];
