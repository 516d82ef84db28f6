/**
 * No mapping that a TLB holds is writable and executable (found by translation-watch.ts), and where
 * the kernel promises that no executable byte has a writable linear alias (rodata=full; x86),
 * nothing is made executable before its alias is protected, and no alias becomes writable before
 * the text is gone.
 * Poke windows are no alias: they are closed after each write, and their translations are judged
 * like all others (translation-watch.ts).
 *
 * Programs tell (linear-map/set-memory.ts): a change is complete with its flush. Text of before
 * time 0 is not followed.
 */

import { EventKind } from '../cpu/operations.ts';
import { frameLo, frameOrder } from './cpu-watch.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

const PAGE_BYTES = 4096;

export class WriteXorExecute implements Oracle {
  readonly rule = Rule.WriteXorExecute;
  readonly findings = new Findings();
  /** Page numbers. */
  readonly #executable = new Set<number>();
  readonly #protected = new Set<number>();
  #checked = 0;

  event(o: Occurrence): void {
    const first = addressKey(o.hi, frameLo(o.lo)) / PAGE_BYTES;
    switch (o.kind) {
      case EventKind.TextExecutable:
        this.#each(o, first, (page) => this.#exposed(o, page));
        break;
      case EventKind.TextNotExecutable:
      case EventKind.FrameFreed:
        if (this.#executable.size > 0) this.#each(o, first, (page) => this.#hidden(page));
        break;
      case EventKind.AliasWritable:
        this.#each(o, first, (page) => this.#opened(o, page));
        break;
      case EventKind.AliasProtected:
        this.#each(o, first, (page) => this.#protected.add(page));
        break;
      default:
    }
  }

  #each(o: Occurrence, first: number, judge: (page: number) => void): void {
    const pages = 2 ** frameOrder(o.lo);
    for (let page = first; page < first + pages; page++) judge(page);
  }

  #exposed(o: Occurrence, page: number): void {
    this.#checked++;
    this.#executable.add(page);
    if (this.#protected.has(page)) return;
    this.#found(o, 'makes memory executable whose linear alias is writable');
  }

  #hidden(page: number): void {
    this.#executable.delete(page);
  }

  #opened(o: Occurrence, page: number): void {
    this.#protected.delete(page);
    if (!this.#executable.has(page)) return;
    this.#found(o, 'makes the linear alias of executable memory writable');
  }

  #found(o: Occurrence, text: string): void {
    this.findings.add({
      rule: this.rule,
      timePs: o.timePs,
      cpus: [o.cpu],
      text,
      space: Space.Physical,
      hi: o.hi,
      lo: frameLo(o.lo),
    });
  }

  finish(): void {}

  summary(): string {
    return `${this.#checked} pages made executable, none with a writable alias`;
  }
}

/** Has anything been made executable, or found so by a CPU? */
export function hasText(logs: ReplayInput['logs']): boolean {
  return logs.some(
    ({ events, violations }) =>
      events.kind.includes(EventKind.TextExecutable) ||
      violations.some(({ rule }) => rule === Rule.WriteXorExecute),
  );
}
