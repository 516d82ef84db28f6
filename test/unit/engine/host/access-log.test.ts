/**
 * Accesses as intervals between numbered events: what is told of them, in which order, and that
 * an oracle is silent wherever the access may have been legal.
 */

import { describe, expect, it } from 'vitest';
import { EventKind, Regime } from '../../../../src/cpu/operations.ts';
import { AccessLog, accessLogBytes } from '../../../../src/engine/host/access-log.ts';
import { Global } from '../../../../src/engine/host/control.ts';
import { EventLog, eventLogBytes } from '../../../../src/engine/host/event-log.ts';
import { makeStaleTlb } from '../../../../src/stress/oracles/stale-tlb.ts';

const CPUS = 2;
const ROOM = 4;
const FRAME = 0x20_0000;

function makeLogs() {
  const control = new Int32Array(new SharedArrayBuffer(Global.Words * 4));
  const buffer = new SharedArrayBuffer(accessLogBytes(CPUS, ROOM));
  const events = new SharedArrayBuffer(eventLogBytes(16));
  const log = new EventLog(control, events, { buffer, cpuCount: CPUS });
  const accesses = [0, 1].map((cpu) => new AccessLog(control, buffer, ROOM, cpu));
  return {
    tell: (cpu: number, kind: number) => log.add(cpu, kind, 0, FRAME, true),
    begin(cpu: number, lo = FRAME) {
      accesses[cpu]!.begin();
      accesses[cpu]!.add(Regime.Guest, 0, lo, false);
    },
    end: (cpu: number) => accesses[cpu]!.close(),
    /** Everything, as words. */
    told(): string[] {
      const words: string[] = [];
      log.replay((cpu, kind) => words.push(`cpu${cpu} event ${kind}`), {
        began: (cpu) => words.push(`cpu${cpu} begins`),
        made: ({ cpu, paLo }) => words.push(`cpu${cpu} at ${paLo.toString(16)}`),
      });
      return words;
    },
    /** What the oracle of stale translations says. */
    findings(): string[] {
      const found: string[] = [];
      const oracle = makeStaleTlb({
        cpuCount: CPUS,
        isBlocked: () => false,
        interrupts: () => true,
        fail: ({ text }) => found.push(text),
        reach: () => {},
      });
      log.replay((cpu, kind, hi, lo) => oracle.event!(cpu, kind, hi, lo), {
        began: (cpu) => oracle.began!(cpu),
        made: (access) => oracle.translated!({ ...access, context: 0, vaHi: 0, vaLo: 0 }),
      });
      return found;
    },
  };
}

describe('accesses between events', () => {
  it('begin and end where the counter stood', () => {
    const { begin, end, tell, told } = makeLogs();
    tell(0, 1);
    begin(1);
    tell(0, 2);
    end(1);
    tell(0, 3);
    const all = ['cpu0 event 1', 'cpu1 begins', 'cpu0 event 2', 'cpu1 at 200000', 'cpu0 event 3'];
    expect(told()).toEqual(all);
  });

  it('are one if they are equal and nothing was told between', () => {
    const { begin, end, told } = makeLogs();
    for (let i = 0; i < 10; i++) {
      begin(0);
      end(0);
    }
    begin(0, FRAME + 4);
    end(0);
    expect(told()).toEqual(['cpu0 begins', 'cpu0 at 200000', 'cpu0 begins', 'cpu0 at 200004']);
  });

  it('are kept as far as there is room', () => {
    const { begin, end, told } = makeLogs();
    for (let i = 0; i < 10; i++) {
      begin(0, FRAME + 4 * i);
      end(0);
    }
    expect(told().filter((word) => word.includes(' at '))).toHaveLength(ROOM);
  });
});

describe('a freed frame', () => {
  it('that is used afterwards is found', () => {
    const { begin, end, tell, findings } = makeLogs();
    tell(0, EventKind.FrameFreed);
    begin(1);
    end(1);
    expect(findings()).toEqual(['reads a frame that was freed, through its TLB']);
  });

  it('may have been used before it was freed', () => {
    const { begin, end, tell, findings } = makeLogs();
    begin(1);
    tell(0, EventKind.FrameFreed);
    end(1);
    expect(findings()).toEqual([]);
  });

  it('may have been used after it was handed out again', () => {
    const { begin, end, tell, findings } = makeLogs();
    tell(0, EventKind.FrameFreed);
    begin(1);
    tell(0, EventKind.FrameAllocated);
    end(1);
    expect(findings()).toEqual([]);
  });
});
