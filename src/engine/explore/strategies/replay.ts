/**
 * Replays a choice log by event identity (ER-E5): each segment's agent takes steps up to and
 * including the segment's event, so that a line that was moved, or an access added elsewhere,
 * changes nothing. The first event that can't be matched ends the replay. When the log is used up,
 * agents take turns.
 */

import { type ChoiceLog, DivergedError, describeEvent, eventKey } from '../choice-log.ts';
import type { EventTracer } from '../event-tracer.ts';
import type { Execution } from '../execution.ts';
import type { Strategy } from '../strategy.ts';

export class Replay implements Strategy {
  readonly name = 'replay';
  readonly fairFrom = 0;
  readonly #log: ChoiceLog;
  readonly #tracer: EventTracer;
  #segment = 0;
  #nextValue = 0;
  /** The segment's event is the step that was chosen last. */
  #atEnd = false;

  constructor(log: ChoiceLog, tracer: EventTracer) {
    this.#log = log;
    this.#tracer = tracer;
  }

  begin(_schedule: number, _execution: Execution): void {
    this.#segment = 0;
    this.#nextValue = 0;
    this.#atEnd = false;
  }

  chooseAgent(execution: Execution): number {
    if (this.#atEnd) {
      this.#segment++;
      this.#atEnd = false;
    }
    const segment = this.#log.segments[this.#segment];
    const { enabled, enabledCount, cpuCount } = execution;
    if (segment === undefined) return enabled[execution.stepCount % enabledCount]!;
    const agent = segment.block * cpuCount + segment.cpu;
    if (segment.cpu >= cpuCount || !isEnabled(execution, agent)) {
      this.#diverge("its agent can't go on there");
    }
    if (this.#tracer.countOf(eventKey(segment)) >= segment.nth) this.#diverge('it came before');
    const pending = this.#tracer.identityOf(agent);
    this.#atEnd = pending.nth === segment.nth && eventKey(pending) === eventKey(segment);
    return agent;
  }

  #diverge(why: string): never {
    const segment = this.#log.segments[this.#segment]!;
    const number = `${this.#segment + 1} of ${this.#log.segments.length}`;
    throw new DivergedError(`${describeEvent(segment)}, segment ${number}: ${why}`);
  }

  chooseValue(count: number, _execution: Execution): number {
    const value = this.#log.values[this.#nextValue++] ?? 0;
    return value < count ? value : 0;
  }
}

function isEnabled({ enabled, enabledCount }: Execution, agent: number): boolean {
  for (let i = 0; i < enabledCount; i++) if (enabled[i] === agent) return true;
  return false;
}
