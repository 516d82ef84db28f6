/** Logs of CPUs written by hand: what an oracle sees, without an engine. */

import type { CpuLog } from '../../../src/checkers/cpu-watch.ts';
import { EventLog } from '../../../src/checkers/event-log.ts';
import { judge, type Verdict } from '../../../src/checkers/replay.ts';
import { TranslationLog } from '../../../src/checkers/translation-log.ts';
import type { EventKind } from '../../../src/cpu/operations.ts';
import type { NamedMemory } from '../../../src/memory/boot.ts';

/** At `ns` on a CPU. */
export type Step = readonly [ns: number, cpu: number, kind: EventKind, lo?: number, hi?: number];

export interface Read {
  readonly cpu: number;
  readonly access: number;
  readonly lo: number;
  readonly firstNs: number;
  readonly lastNs: number;
}

/** Linear-map addresses have this high half. */
export const LINEAR = 0xffff0000 | 0;

export function logsOf(
  steps: readonly Step[],
  reads: readonly Read[] = [],
  limit = 1000,
): CpuLog[] {
  const cpus = new Set([...steps.map(([, cpu]) => cpu), ...reads.map(({ cpu }) => cpu)]);
  return [...cpus].map((cpu) => {
    const events = new EventLog(limit);
    for (const [ns, of, kind, lo = 0, hi = LINEAR] of steps) {
      if (of === cpu) events.add(ns * 1000, kind, hi, lo);
    }
    const tableReads = new EventLog();
    for (const read of reads.filter((each) => each.cpu === cpu)) {
      tableReads.add(read.firstNs * 1000, read.access, 0, read.lo);
      tableReads.add(read.lastNs * 1000, read.access, 0, read.lo);
    }
    return {
      cpu,
      events: events.columns(),
      translations: new TranslationLog().columns(),
      tableReads: tableReads.columns(),
      issued: { records: [], completedPs: new Float64Array(0) },
      violations: [],
      violationCount: 0,
      tlbiCount: 0,
      fetchCount: 0,
      eventsFullAtPs: events.fullAtPs,
      fullAtPs: events.fullAtPs,
    };
  });
}

export interface Judged {
  readonly verdicts: readonly Verdict[];
  violations(rule: string): string[];
  summary(rule: string): string;
}

export function judged(
  logs: readonly CpuLog[],
  options: { finished?: boolean; symbols?: readonly NamedMemory[] } = {},
): Judged {
  const { finished = true, symbols = [] } = options;
  const verdicts = judge(logs, { symbols, bbm: '0', finished });
  const of = (rule: string, ok: boolean): string[] =>
    verdicts.filter((each) => each.name === rule && each.ok === ok).map(({ text }) => text);
  return {
    verdicts,
    violations: (rule) => of(rule, false),
    summary: (rule) => of(rule, true).join('|'),
  };
}
