/**
 * What locks of the registry promise beyond exclusion, by name, for the targets that are made of
 * them.
 */

import { HANDOFF, Semaphore, WRITER_LOCKED } from '../../sync/rwsem-layout.ts';
import type { HandOffWords } from '../oracles/hand-off.ts';

export const RWSEM_HAND_OFF: HandOffWords = {
  state: Semaphore.Count,
  asked: HANDOFF,
  taken: WRITER_LOCKED,
  first: Semaphore.First,
};

export const HAND_OFFS: Readonly<Record<string, HandOffWords>> = {
  rwsem: RWSEM_HAND_OFF,
  'rwsem-nospin': RWSEM_HAND_OFF,
};
