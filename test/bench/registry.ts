/** Every benchmark, in the order of the table. */

import type { Benchmark } from './benchmark.ts';
import { EXPLORE_BENCHMARKS } from './explore.ts';
import { codeBlocks, fetchHits } from './fetches.ts';
import { growthOfHits, growthOfMcs, growthOfReads } from './growth.ts';
import { lineTransactions, mcs, mcs2Nodes, ticket, ticket2Nodes } from './locks.ts';
import { memory192 } from './memory.ts';
import {
  privateHits64Cpus,
  privateHitsRandom,
  privateHitsSequential,
  randomReads1GiB,
  randomReads16Cpus,
} from './reads.ts';
import { STAGE2_BENCHMARKS } from './stage2-faults.ts';
import { TRACE_BENCHMARKS } from './traces.ts';
import { WORKER_BENCHMARKS } from './workers.ts';

export const BENCHMARKS: readonly Benchmark[] = [
  privateHitsRandom,
  privateHitsSequential,
  privateHits64Cpus,
  randomReads1GiB,
  randomReads16Cpus,
  fetchHits,
  codeBlocks,
  lineTransactions,
  mcs,
  mcs2Nodes,
  ticket,
  ticket2Nodes,
  ...STAGE2_BENCHMARKS,
  ...TRACE_BENCHMARKS,
  ...WORKER_BENCHMARKS,
  ...EXPLORE_BENCHMARKS,
  growthOfHits,
  growthOfMcs,
  growthOfReads,
  memory192,
];
