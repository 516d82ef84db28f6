/**
 * The interval specification of one page: is there an order of its changes that explains all that
 * was seen? Changes take effect at one point between their beginning and their end; an order that
 * respects who ended before whom began is sought as Wing and Gong, with Lowe's memory of failed
 * configurations (P-compositional: one page at a time, so nearly linear).
 *
 * Not linearisable in the plain sense, as hardware isn't: a translation may see what was replaced
 * until the change that replaced it has ended (its DSB is then complete), because TLBs may hold it.
 * A refusal for want of permission may come from a stale, more restrictive entry for ever; that
 * nothing is mapped is never cached, but shows while any change is under way (the break).
 *
 * Deviation: seen translations are explained one by one, not against each other: two CPUs may see
 * the old and the new in either order while a change is under way.
 */

import { PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import { ChangeKind } from './history-events.ts';

/** What a page maps to. */
export interface PageState {
  /** Page number of the output; -1: nothing. */
  readonly frame: number;
  /** PERM_* bits. */
  readonly permissions: number;
}

export interface Change {
  readonly cpu: number;
  readonly kind: ChangeKind;
  readonly frame: number;
  readonly permissions: number;
  /** Numbers in one order of all beginnings and ends; Infinity: never ended. */
  readonly invoked: number;
  readonly returned: number;
}

export interface Use {
  readonly cpu: number;
  readonly invoked: number;
  readonly returned: number;
  readonly write: boolean;
  /** Frame that the access reached; refused: what was missing. */
  readonly frame: number;
  readonly refused: 'no' | 'missing' | 'denied';
}

export interface PageHistory {
  readonly initial: PageState;
  /** By `invoked`. */
  readonly changes: readonly Change[];
  /** By `invoked`. */
  readonly uses: readonly Use[];
  /** What tables say when all is over; null: nobody looked. */
  readonly final: PageState | null;
}

export const NOTHING_MAPPED: PageState = { frame: -1, permissions: 0 };

/** Changes of one page that may be under way at once; a history of more is not judged. */
const AT_ONCE_MAX = 30;
const CONFIGURATIONS_MAX = 200_000;

/** true: explained (or too tangled to tell). */
export function isExplained(history: PageHistory): boolean {
  const { changes } = history;
  const uses = history.uses.filter((use) => !isExcused(use, history));
  const failed = new Set<string>();
  const start: Configuration = {
    low: 0,
    beyond: 0,
    state: history.initial,
    lastInvoked: -1,
    seen: 0,
    left: [],
  };
  const stack: Configuration[] = [start];
  while (stack.length > 0) {
    const here = stack.pop()!;
    const nextReturned = earliestReturn(changes, here);
    let { seen } = here;
    const left: number[] = [];
    const look = (index: number): void => {
      if (!explains(uses[index]!, here.state)) left.push(index);
    };
    for (const index of here.left) look(index);
    while (seen < uses.length && uses[seen]!.invoked <= nextReturned) look(seen++);
    if (seen === uses.length && left.length === 0 && isOver(history, here)) return true;
    const key = `${here.low},${here.beyond},${here.state.frame},${here.state.permissions},${left}`;
    if (failed.has(key)) continue;
    failed.add(key);
    if (failed.size > CONFIGURATIONS_MAX) return true;
    for (let next = here.low; next < changes.length; next++) {
      const offset = next - here.low;
      if (changes[next]!.invoked > nextReturned) break;
      if (offset >= AT_ONCE_MAX) return true;
      if (isDone(here.beyond, offset)) continue;
      const after = take(here, changes, next, seen, left);
      if (after.left.every((index) => uses[index]!.returned >= after.lastInvoked)) {
        stack.push(after);
      }
    }
  }
  return false;
}

interface Configuration {
  /** All changes before `low` have taken effect, and `low + i` where bit i of `beyond` says so. */
  readonly low: number;
  readonly beyond: number;
  readonly state: PageState;
  /** The last beginning among them: the state is not older, no use that is left ended before. */
  readonly lastInvoked: number;
  /** Uses before `seen` are explained but for those that are left. */
  readonly seen: number;
  readonly left: readonly number[];
}

function isDone(beyond: number, offset: number): boolean {
  return offset < AT_ONCE_MAX && (beyond & (1 << offset)) !== 0;
}

function take(
  here: Configuration,
  changes: readonly Change[],
  next: number,
  seen: number,
  left: readonly number[],
): Configuration {
  let low = here.low;
  let beyond = here.beyond | (1 << (next - low));
  while ((beyond & 1) !== 0) {
    low++;
    beyond >>>= 1;
  }
  const change = changes[next]!;
  const lastInvoked = Math.max(here.lastInvoked, change.invoked);
  return { low, beyond, state: applied(here.state, change), lastInvoked, seen, left };
}

/** First end among the changes that have not taken effect: until then the state may be seen. */
function earliestReturn(changes: readonly Change[], { low, beyond }: Configuration): number {
  let earliest = Number.POSITIVE_INFINITY;
  for (let index = low; index < changes.length; index++) {
    const { invoked, returned } = changes[index]!;
    if (invoked > earliest) break;
    if (isDone(beyond, index - low)) continue;
    earliest = Math.min(earliest, returned);
  }
  return earliest;
}

/** Nothing is left but changes that never ended, and tables are as they should be. */
function isOver({ changes, final }: PageHistory, { low, beyond, state }: Configuration): boolean {
  for (let index = low; index < changes.length; index++) {
    if (isDone(beyond, index - low)) continue;
    if (changes[index]!.returned !== Number.POSITIVE_INFINITY) return false;
  }
  if (final === null) return true;
  if (final.frame !== state.frame) return false;
  return final.frame < 0 || final.permissions === state.permissions;
}

function explains(use: Use, state: PageState): boolean {
  if (use.refused === 'missing') return state.frame < 0;
  if (use.refused === 'denied') return !allows(state, use.write);
  return state.frame === use.frame && allows(state, use.write);
}

function allows({ frame, permissions }: PageState, write: boolean): boolean {
  return frame >= 0 && (permissions & (write ? PERM_WRITE : PERM_READ)) !== 0;
}

export function applied(state: PageState, { kind, frame, permissions }: Change): PageState {
  switch (kind) {
    case ChangeKind.Map:
      return { frame, permissions };
    case ChangeKind.Unmap:
      return NOTHING_MAPPED;
    case ChangeKind.Allow:
      return state.frame < 0
        ? state
        : { frame: state.frame, permissions: state.permissions | permissions };
    default:
      return { frame: state.frame, permissions: state.permissions & ~permissions };
  }
}

/** Refusals that need no order: a break under way, an entry that was more restrictive once. */
function isExcused(use: Use, { initial, changes }: PageHistory): boolean {
  if (use.refused === 'no') return false;
  if (use.refused === 'denied' && initial.frame >= 0 && !allows(initial, use.write)) return true;
  return changes.some(
    ({ kind, permissions, invoked, returned }) =>
      (invoked <= use.returned && returned >= use.invoked) ||
      (use.refused === 'denied' &&
        invoked <= use.returned &&
        (kind === ChangeKind.Deny ||
          (kind === ChangeKind.Map && (permissions & (use.write ? PERM_WRITE : PERM_READ)) === 0))),
  );
}
