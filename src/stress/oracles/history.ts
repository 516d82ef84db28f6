/**
 * Histories of mappings: what programs were told is what accesses find (page-history.ts, one page
 * of one VM at a time). Judged when all programs have ended; an access through a mapping whose
 * removal was over before the access began breaks it, and so does a mapping that was promised and
 * is not there at the end.
 *
 * Locks need no search: with the release told before its store and the acquisition after its
 * access, a history of lock and unlock has an order exactly if no two sections overlap, which
 * exclusion.ts says at the very step (test/unit/stress/oracles holds the two against each other).
 */

import { EventKind, Regime } from '../../cpu/operations.ts';
import type { Translated } from '../../engine/explore/observer.ts';
import { outputHi, outputLo, PERM_ACCESS_MASK } from '../../translation/descriptors.ts';
import { GRANULE_4K, LAST_LEVEL, levelShift } from '../../translation/granule.ts';
import { s2Permissions } from '../../translation/stage2-descriptors.ts';
import {
  type ChangeKind,
  type HeardRange,
  heardPage,
  heardRange,
  Outcome,
  REFUSED_WRITE,
  Refusal,
} from './history-events.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';
import {
  type Change,
  isExplained,
  NOTHING_MAPPED,
  type PageHistory,
  type PageState,
  type Use,
} from './page-history.ts';
import { pageNumber } from './table-trees.ts';

export const HISTORY = 'history';

export const HISTORY_FACTS: OracleFacts = {
  name: HISTORY,
  description:
    'changes of mappings have an order that explains every access, until each change is over',
  engines: ['explore', 'host'],
};

const SPACE = 2 ** 36;

interface RangeChange extends HeardRange {
  readonly cpu: number;
  readonly invoked: number;
  returned: number;
  outcome: Outcome;
  firstFrame: number;
  permissions: number;
}

interface Root {
  readonly hi: number;
  readonly lo: number;
  readonly startLevel: number;
}

export function makeHistory(context: OracleContext): StressOracle {
  return new History(context);
}

class History implements StressOracle {
  readonly name = HISTORY;
  readonly #context: OracleContext;
  readonly #changes: RangeChange[] = [];
  /** By CPU: the change that it is about. */
  readonly #current: RangeChange[] = [];
  /** By CPU: the page that its accesses as a guest are to, and since when. */
  readonly #pages: Float64Array;
  readonly #since: Float64Array;
  /** By CPU: when the access began that is under way; -1: accesses are steps. */
  readonly #began: Float64Array;
  readonly #uses = new Map<number, Use[]>();
  readonly #roots = new Map<number, Root>();
  #now = 0;

  constructor(context: OracleContext) {
    this.#context = context;
    this.#pages = new Float64Array(context.cpuCount).fill(-1);
    this.#since = new Float64Array(context.cpuCount);
    this.#began = new Float64Array(context.cpuCount).fill(-1);
  }

  begin(): void {
    this.#changes.length = this.#current.length = this.#now = 0;
    this.#pages.fill(-1);
    this.#began.fill(-1);
    this.#uses.clear();
    this.#roots.clear();
  }

  event(cpu: number, kind: number, hi: number, lo: number): void {
    switch (kind) {
      case EventKind.ChangeInvoked:
        this.#invoked(cpu, hi, lo);
        break;
      case EventKind.ChangeOutput:
        this.#current[cpu]!.firstFrame = pageNumber(hi, lo);
        this.#current[cpu]!.permissions = lo & 0xfff;
        break;
      case EventKind.ChangeReturned:
        this.#current[cpu]!.returned = this.#now++;
        this.#current[cpu]!.outcome = lo as Outcome;
        break;
      case EventKind.GuestAccess:
        this.#pages[cpu] = (hi >>> 16) * SPACE + heardPage(hi, lo);
        this.#since[cpu] = this.#now++;
        break;
      case EventKind.GuestRefused: {
        const refused = (lo & ~REFUSED_WRITE) === Refusal.Missing ? 'missing' : 'denied';
        this.#use(cpu, (lo & REFUSED_WRITE) !== 0, -1, refused);
        break;
      }
      case EventKind.TableRoot:
        this.#roots.set(hi >>> 16, { hi: hi & 0xffff, lo: lo & ~0xfff, startLevel: lo & 0xfff });
        break;
      default:
    }
  }

  began(cpu: number): void {
    this.#began[cpu] = this.#now++;
  }

  translated({ cpu, regime, paHi, paLo, write }: Translated): void {
    if (regime === Regime.Guest) this.#use(cpu, write, pageNumber(paHi, paLo), 'no');
  }

  finish(): void {
    if (this.#changes.length === 0) return;
    for (const page of pagesOf(this.#changes, this.#uses)) {
      const root = this.#roots.get(Math.floor(page / SPACE));
      const final = finalOf(this.#context, root, page % SPACE);
      judge(this.#context, historyOf(page, this.#changes, this.#uses.get(page) ?? [], final));
    }
  }

  #invoked(cpu: number, hi: number, lo: number): void {
    const { space, kind, firstPage, pages } = heardRange(hi, lo);
    const begun: RangeChange = {
      space,
      kind,
      firstPage,
      pages,
      cpu,
      invoked: this.#now++,
      returned: Number.POSITIVE_INFINITY,
      outcome: Outcome.Done,
      firstFrame: -1,
      permissions: 0,
    };
    this.#current[cpu] = begun;
    this.#changes.push(begun);
  }

  #use(cpu: number, write: boolean, frame: number, refused: Use['refused']): void {
    const page = this.#pages[cpu]!;
    if (page < 0) return;
    // A walk that finds nothing began before; an access is one step with its translation.
    const began = this.#began[cpu]!;
    const invoked = refused !== 'no' ? this.#since[cpu]! : began < 0 ? this.#now : began;
    let list = this.#uses.get(page);
    if (list === undefined) this.#uses.set(page, (list = []));
    list.push({ cpu, invoked, returned: this.#now++, write, frame, refused });
    this.#since[cpu] = this.#now;
  }
}

/** Pages that were accessed, or changed one by one. */
function pagesOf(changes: readonly RangeChange[], uses: ReadonlyMap<number, unknown>): Set<number> {
  const pages = new Set(uses.keys());
  for (const { space, firstPage, pages: count } of changes) {
    if (count === 1) pages.add(space * SPACE + firstPage);
  }
  return pages;
}

function historyOf(
  page: number,
  all: readonly RangeChange[],
  uses: readonly Use[],
  final: PageState | null,
): PageHistory {
  const space = Math.floor(page / SPACE);
  const number = page % SPACE;
  let initial = NOTHING_MAPPED;
  const changes: Change[] = [];
  for (const change of all) {
    if (change.space !== space || change.outcome === Outcome.Nothing) continue;
    const offset = number - change.firstPage;
    if (offset < 0 || offset >= change.pages) continue;
    const { cpu, kind, permissions, invoked, returned } = change;
    const frame = change.firstFrame + offset;
    if (change.outcome === Outcome.AtBoot) initial = { frame, permissions };
    else changes.push({ cpu, kind: kind as ChangeKind, frame, permissions, invoked, returned });
  }
  return { initial, changes, uses: uses.toSorted((a, b) => a.invoked - b.invoked), final };
}

/** What the tables say about a page now; null: nobody told where they are. */
function finalOf({ word }: OracleContext, root: Root | undefined, page: number): PageState | null {
  if (word === undefined || root === undefined) return null;
  let { hi, lo } = root;
  for (let level = root.startLevel; ; level++) {
    const shift = levelShift(GRANULE_4K, level) - 12;
    const entry = Math.floor(page / 2 ** shift) % (level === root.startLevel ? 4096 : 512);
    const entryLo = word(hi, lo + entry * 8);
    const entryHi = word(hi, lo + entry * 8 + 4);
    if ((entryLo & 1) === 0) return NOTHING_MAPPED;
    if (level === LAST_LEVEL || (entryLo & 2) === 0) {
      const first = pageNumber(outputHi(entryHi, shift + 12), outputLo(entryLo, shift + 12));
      const permissions = s2Permissions(entryHi, entryLo) & PERM_ACCESS_MASK;
      return { frame: first + (page % 2 ** shift), permissions };
    }
    hi = outputHi(entryHi, 12);
    lo = outputLo(entryLo, 12);
  }
}

function judge(context: OracleContext, history: PageHistory): void {
  if (isExplained(history)) return;
  const { changes, uses } = history;
  const fail = (cpus: readonly number[], text: string, frame: number): void =>
    context.fail({
      oracle: HISTORY,
      cpus: [...new Set(cpus)],
      text,
      hi: Math.floor(Math.max(0, frame) / 2 ** 20),
      lo: (Math.max(0, frame) % 2 ** 20) << 12,
    });
  for (const use of uses) {
    if (isExplained({ ...history, uses: [use], final: null })) continue;
    const last = changes.findLast(({ returned }) => returned < use.invoked);
    const others = last === undefined ? [] : [last.cpu];
    if (use.refused === 'no') {
      const what = use.write ? 'writes to' : 'reads';
      const text = `${what} a page through a mapping whose change is over`;
      fail([use.cpu, ...others], text, use.frame);
    } else {
      const text = 'is refused a page that is mapped and that nobody changes';
      fail([use.cpu, ...others], text, last?.frame ?? history.initial.frame);
    }
    return;
  }
  const last = changes.at(-1);
  const cpus = last === undefined ? [] : [last.cpu];
  if (!isExplained({ ...history, uses: [] })) {
    fail(cpus, 'was told that its change is made, and the tables show another', last?.frame ?? -1);
  } else {
    fail(cpus, 'changes a page in no order that explains what was seen of it', last?.frame ?? -1);
  }
}
