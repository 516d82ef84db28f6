/**
 * Follows a run step by step: who each event is (ER-E5), where in the source it was asked for, what
 * it read or left. Slow (a stack trace per attempt), so only failures and replays run with it.
 */

import { nameOfAddress, Space } from '../../checkers/violation.ts';
import { OPERATION_NAMES, Op } from './attempts.ts';
import { eventKey } from './choice-log.ts';
import { StepKind, touchesMemory } from './execution.ts';
import type { Explorer } from './explorer.ts';
import type { EventIdentity, TraceStep } from './result.ts';
import { type Caller, callerOutsideEngine } from './source-place.ts';
import type { Tracer } from './tracer.ts';

const NOBODY: Caller = { name: 'program', place: '' };
const BLOCK_NAMES = ['', 'drain', 'dvm', 'interrupt', 'walk'];

interface StepUnderWay {
  readonly step: Omit<TraceStep, 'value' | 'values'>;
  readonly values: number[];
}

export class EventTracer implements Tracer {
  readonly #explorer: Explorer;
  readonly #steps: TraceStep[] = [];
  #underWay: StepUnderWay | null = null;
  /** By CPU: who makes the attempt that is announced; below it those that handlers interrupted. */
  readonly #callers: Caller[][];
  readonly #counts = new Map<string, number>();

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
    this.#callers = explorer.cpus.map(() => [NOBODY]);
  }

  begin(): void {
    this.#steps.length = 0;
    this.#underWay = null;
    this.#counts.clear();
    for (const callers of this.#callers) callers.splice(0, callers.length, NOBODY);
  }

  announced(cpu: number, op: number): void {
    const callers = this.#callers[cpu]!;
    callers[callers.length - 1] = op === Op.Pause ? NOBODY : callerOutsideEngine();
  }

  saved(cpu: number): void {
    this.#callers[cpu]!.push(NOBODY);
  }

  restored(cpu: number): void {
    this.#callers[cpu]!.pop();
  }

  value(value: number): void {
    this.#underWay?.values.push(value);
  }

  /** Times that an event of this key was taken. */
  countOf(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  /** Who the agent's pending step is. */
  identityOf(agent: number): EventIdentity {
    const { cpuCount, cpus, kind } = this.#explorer;
    const cpu = agent % cpuCount;
    const block = Math.floor(agent / cpuCount);
    const caller = this.#callerOf(cpu);
    const program = block === 0 ? caller.name : BLOCK_NAMES[block]!;
    let operation = block === 0 ? OPERATION_NAMES[cpus[cpu]!.op]! : program;
    if (block === 0 && kind[agent] === StepKind.Expire) operation = 'expire';
    const event = { cpu, program, operation, field: this.#fieldOf(agent, block), nth: 0 };
    return { ...event, nth: this.countOf(eventKey(event)) + 1 };
  }

  #callerOf(cpu: number): Caller {
    const callers = this.#callers[cpu]!;
    return callers[callers.length - 1]!;
  }

  #fieldOf(agent: number, block: number): string {
    const { kind, hi, lo, setup } = this.#explorer;
    const step = kind[agent]! as StepKind;
    if (block === 3) return `vector ${lo[agent]}`;
    if (step === StepKind.Ipi || step === StepKind.Wake) return `cpu${lo[agent]}`;
    const isAccess = touchesMemory(step) || step === StepKind.Buffer || step === StepKind.Expire;
    if (!isAccess) return '';
    const known = nameOfAddress(Space.Physical, hi[agent]!, lo[agent]!, setup.symbols);
    if (known !== null) return known;
    return `0x${((hi[agent]! & 0xffff) * 2 ** 32 + (lo[agent]! >>> 0)).toString(16)}`;
  }

  step(agent: number): void {
    this.#closeStep();
    const { kind, hi, lo, bytes, cpuCount } = this.#explorer;
    const event = this.identityOf(agent);
    this.#counts.set(eventKey(event), event.nth);
    this.#underWay = {
      step: {
        agent,
        kind: kind[agent]! as StepKind,
        hi: hi[agent]!,
        lo: lo[agent]!,
        bytes: bytes[agent]!,
        event,
        place: agent < cpuCount ? this.#callerOf(agent).place : '',
      },
      values: [],
    };
  }

  #closeStep(): void {
    if (this.#underWay === null) return;
    const { step, values } = this.#underWay;
    const { memory, cpus, cpuCount } = this.#explorer;
    const word = memory.indexOf(step.hi, step.lo);
    const { buffer } = cpus[step.agent % cpuCount]!;
    const hasValue = touchesMemory(step.kind) || step.kind === StepKind.Buffer;
    const value = hasValue ? buffer.visible(memory.words, word) : 0;
    this.#steps.push({ ...step, value, values });
    this.#underWay = null;
  }

  /** Everything that was taken, the last step too. */
  trace(): readonly TraceStep[] {
    this.#closeStep();
    return this.#steps.slice();
  }
}
