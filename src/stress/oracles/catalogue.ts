/** All oracles by name: what `--oracle` takes, what mutants expect, what `list oracles` prints. */

import { AREA_TILING_FACTS } from './area-tiling.ts';
import { ASSERTION_FACTS } from './assertion.ts';
import { BREAK_BEFORE_MAKE_FACTS } from './break-before-make.ts';
import { DEADLOCK_FACTS } from './deadlock.ts';
import { DIRTY_LOG_FACTS } from './dirty-log.ts';
import { EXCLUSION_FACTS } from './exclusion.ts';
import { FILLER_FACTS } from './filler.ts';
import { FRAMES_FACTS } from './frames.ts';
import { FREED_TEXT_FACTS } from './freed-text.ts';
import { SHORT_GRACE_PERIOD_FACTS } from './grace-period.ts';
import { HISTORY_FACTS } from './history.ts';
import { LIVELOCK_FACTS } from './livelock.ts';
import { LOCK_CLASS_FACTS } from './lock-class.ts';
import { LOST_MAPPING_FACTS } from './lost-mapping.ts';
import { LOST_UPDATE_FACTS } from './lost-update.ts';
import { LOST_WAKE_UP_FACTS } from './lost-wake-up.ts';
import type { OracleFacts } from './oracle.ts';
import { REPLICA_EQUALITY_FACTS } from './replica-equality.ts';
import { ROOT_TABLES_FACTS } from './root-tables.ts';
import { STALE_TEXT_FACTS } from './stale-text.ts';
import { STALE_TLB_FACTS } from './stale-tlb.ts';
import { STARVATION_FACTS } from './starvation.ts';
import { TORN_READ_FACTS } from './torn-read.ts';
import { USE_AFTER_FREE_FACTS } from './use-after-free.ts';
import { WRITE_XOR_EXECUTE_FACTS } from './write-xor-execute.ts';

export const ORACLES: readonly OracleFacts[] = [
  EXCLUSION_FACTS,
  LOST_UPDATE_FACTS,
  DEADLOCK_FACTS,
  LOST_WAKE_UP_FACTS,
  LIVELOCK_FACTS,
  ASSERTION_FACTS,
  STARVATION_FACTS,
  TORN_READ_FACTS,
  USE_AFTER_FREE_FACTS,
  SHORT_GRACE_PERIOD_FACTS,
  LOCK_CLASS_FACTS,
  FRAMES_FACTS,
  BREAK_BEFORE_MAKE_FACTS,
  STALE_TLB_FACTS,
  STALE_TEXT_FACTS,
  HISTORY_FACTS,
  LOST_MAPPING_FACTS,
  DIRTY_LOG_FACTS,
  REPLICA_EQUALITY_FACTS,
  ROOT_TABLES_FACTS,
  WRITE_XOR_EXECUTE_FACTS,
  FREED_TEXT_FACTS,
  AREA_TILING_FACTS,
  FILLER_FACTS,
];

export const ORACLE_NAMES: readonly string[] = ORACLES.map(({ name }) => name);
