/** What text-watch.ts has found on single CPUs, as a rule of its own. */

import type { Oracle, ReplayInput } from './oracle.ts';
import { Findings, Rule } from './violation.ts';

export class StaleText implements Oracle {
  readonly rule = Rule.StaleText;
  readonly findings = new Findings();
  readonly #fetches: number;

  constructor({ logs }: ReplayInput) {
    this.#fetches = fetchesOf(logs);
  }

  event(): void {}

  finish(): void {}

  summary(): string {
    return `${this.#fetches} instruction fetches, none older than maintenance and synchronisation`;
  }
}

export function fetchesOf(logs: ReplayInput['logs']): number {
  return logs.reduce((sum, { fetchCount }) => sum + fetchCount, 0);
}
