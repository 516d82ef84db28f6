/**
 * What the worker threads of the host engine load to make a stress target's programs and to check
 * a round of it: the target is made again in every thread, from plain data.
 */

import type { EventLog, HearEvent } from '../engine/host/event-log.ts';
import { FindingError } from '../engine/host/finding.ts';
import type { ProgramOwner } from '../engine/host/spec.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { compiledUrl } from '../run/host-program.ts';
import { observe } from './oracles/all.ts';
import type { Memory, Reporter, StressImage, StressSize, StressTarget } from './target.ts';

/** Where a thread finds the target: an exported function of plain data. */
export interface TargetSource {
  /** URL of a compiled module. */
  readonly module: string;
  readonly exportName: string;
  readonly argument: unknown;
}

export interface HostTarget {
  readonly source: TargetSource;
  readonly size: StressSize;
}

export const STRESS_PROGRAMS = {
  module: compiledUrl(import.meta.url),
  exportName: 'stressPrograms',
};

export async function stressPrograms({ source, size }: HostTarget): Promise<ProgramOwner> {
  const target = await makeTarget(source);
  const reached = new Set<string>();
  let memory: PhysicalMemory | null = null;
  const report: Reporter = {
    // Only the check of a round may look.
    word: ({ hi, lo }) => memory?.peek32(hi & 0xffff, lo) ?? 0,
    reach: (goal) => reached.add(goal),
    fail: (finding) => {
      throw new FindingError(finding);
    },
  };
  return {
    program: (cpu, image) => target.program(cpu, image as StressImage, size, report),
    finish(booted, events, image) {
      memory = booted;
      const view: Memory = report;
      target.finish(view, image as StressImage, size, report);
      hearEvents(events, booted, size, report);
    },
    reached: () => [...reached],
  };
}

async function makeTarget({ module, exportName, argument }: TargetSource): Promise<StressTarget> {
  const loaded = (await import(module)) as Record<string, unknown>;
  const make = loaded[exportName] as (argument: unknown) => Promise<StressTarget> | StressTarget;
  return make(argument);
}

/** Oracles that live by events alone, over the whole round in its order. */
function hearEvents(
  events: EventLog,
  memory: PhysicalMemory,
  size: StressSize,
  report: Reporter,
): void {
  const enabled: boolean[] = new Array(size.cpus).fill(true);
  const context = {
    cpuCount: size.cpus,
    // Only fairness asks, which a host's scheduler does not promise.
    isBlocked: () => false,
    interrupts: (cpu: number) => enabled[cpu]!,
    word: (hi: number, lo: number) => memory.peek32(hi, lo),
    hearsLittle: true,
    reach: report.reach,
    fail: report.fail,
  };
  const oracles = observe(context);
  oracles.begin?.();
  const hear: HearEvent = (cpu, kind, hi, lo, interrupts) => {
    enabled[cpu] = interrupts;
    oracles.event?.(cpu, kind, hi, lo);
  };
  const whole = events.replay(hear, {
    began: (cpu) => oracles.began(cpu),
    made: (access) => oracles.translated?.({ ...access, context: 0, vaHi: 0, vaLo: 0 }),
  });
  // What is over only at the end can't be judged by a beginning.
  if (whole) oracles.finish?.();
}
