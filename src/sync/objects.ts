/**
 * What is shared and is no lock: by name, what it is and how to make it. Each is built from named
 * steps as the locks are, and has its own interface (its file says it); scenario tests stand in for
 * the conformance suite of locks. src/kernel/objects.ts has those that need the kernel base.
 */

import { makeHazardPointers } from './hazard-pointers.ts';
import { makeSequenceLatch } from './seqcount-latch.ts';
import { makeTreiberStack } from './treiber-stack.ts';
import { makeWaitQueue } from './wait-queue.ts';

/** What `list locks` prints below the locks. */
export interface ObjectFacts {
  readonly description: string;
  readonly source: string;
  /** Line transfers per use. */
  readonly transfers: string;
}

export interface RegisteredObject extends ObjectFacts {
  /** Arguments are the object's own. */
  readonly make: (...parts: never[]) => object;
}

export const OBJECTS = {
  'seqcount-latch': {
    make: makeSequenceLatch,
    description: 'two copies behind a sequence: readers never wait, not even in an NMI',
    source: 'include/linux/seqlock.h, seqcount_latch_t',
    transfers: '0 per read; two reads by each reader per change',
  },
  'hazard-pointers': {
    make: makeHazardPointers,
    description: 'readers publish what they use; freed when nobody publishes it',
    source: 'Michael, IEEE TPDS 2004',
    transfers: '0 per protection; all CPUs per reclamation',
  },
  'treiber-stack': {
    make: makeTreiberStack,
    description: 'lock-less free list of table pages, tagged against ABA',
    source: 'Treiber, IBM RJ 5118, 1986',
    transfers: '1 to 2 per push, 2 to 3 per pop',
  },
  'wait-queue': {
    make: makeWaitQueue,
    description: 'tasks that sleep until a condition holds',
    source: 'kernel/sched/wait.c',
    transfers: '7 to 8 per sleep, and the wake-up',
  },
} as const satisfies Readonly<Record<string, RegisteredObject>>;
