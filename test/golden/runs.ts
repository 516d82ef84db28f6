/**
 * The runs whose digests are pinned, one or two per workload, small, over several nodes where the
 * workload can: on machines of two nodes, of four, and of one; x86 has last-level domains and IPIs.
 */

import { assert } from '../../src/base/assert.ts';
import { runSpecification } from '../../src/run/run.ts';
import { resolveSpecification } from '../../src/run/specification.ts';

export interface GoldenRun {
  /** The command line behind `numalab run`. */
  readonly command: string;
  readonly workload: string;
  readonly assignments: readonly string[];
  readonly machine: string;
  readonly cpus: string;
}

const TWO_NODES = 'graviton4_2p';
const FOUR_NODES = 'kunpeng920_2p_128';
const ONE_NODE = 'ampere_altra_1p_q80';
const X86 = 'xeon_skylake_6140_2p';

export const GOLDEN_RUNS: readonly GoldenRun[] = [
  run('lock_contention lock=ticket i=60 placement=spread', TWO_NODES, 8),
  run('lock_contention lock=mcs locks=3 i=40 placement=spread', FOUR_NODES, 8),
  run('core_to_core i=10 placement=spread', FOUR_NODES, 8),
  run('memory_latency n=200 sizes=32K,4M', TWO_NODES, 1),
  run('memory_bandwidth b=4K probeAccesses=50 placement=spread', FOUR_NODES, 8),
  run('tlb_shootdown i=20 initiators=2 placement=spread', FOUR_NODES, 8),
  run('tlb_shootdown method=ipi i=20 placement=spread', TWO_NODES, 6),
  run('dirty_log_perf_test b=64K v=4 placement=spread', TWO_NODES, 5),
  run('dirty_log_perf_test b=64K v=4 faults=exclusive', ONE_NODE, 5),
  run('demand_paging_test b=64K v=4 uffdMode=MISSING placement=spread', TWO_NODES, 12),
  run('access_tracking_perf_test b=64K v=4 placement=spread', FOUR_NODES, 5),
  run('kvm_page_table_test b=128K v=4 placement=spread', TWO_NODES, 5),
  run('memslot_modification_stress_test b=64K i=2 v=4', ONE_NODE, 5),
  run('page_fault1 sampleTime=50us s=1 warmup=0 size=256K placement=spread', TWO_NODES, 4),
  run('page_fault2 sampleTime=50us s=1 warmup=0 size=256K placement=spread', FOUR_NODES, 4),
  run('page_fault3 mode=threads sampleTime=50us s=1 warmup=0 size=256K', TWO_NODES, 4),
  run('mmap1 mode=threads sampleTime=50us s=1 warmup=0 size=1M placement=spread', TWO_NODES, 4),
  run('page_fault1 mode=threads sampleTime=50us s=1 warmup=0 size=256K placement=spread', X86, 4),
  run('tlb_shootdown i=20 initiators=2 placement=spread', 'epyc_milan_2p', 6),
  run(
    'text_fetch text=replicated migrate=on passes=4 warmup=1 blocks=80 textSize=256K hotText=128K',
    TWO_NODES,
    4,
  ),
  run(
    'text_patch_storm text=replicated sites=6 quietBlocks=100 textSize=256K hotText=128K',
    FOUR_NODES,
    4,
  ),
  run(
    'db_like text=stage2-replicated i=2 warmup=1 tableSize=8M textSize=256K hotText=128K',
    TWO_NODES,
    4,
  ),
  run(
    'bpf_load_storm i=2 live=2 runs=1 loaders=2 userText=16K interval=1us placement=spread',
    TWO_NODES,
    4,
  ),
  run(
    'bpf_bench allocator=module_alloc programs=4 attached=2 warmup=1 iterations=1 ' +
      'sampleTime=10us userText=16K placement=spread',
    TWO_NODES,
    4,
  ),
  run(
    'test_vmalloc nr_threads=4 test_loop_count=2 junk=4 busyList=8 lazyPagesMax=64 ' +
      'placement=spread',
    TWO_NODES,
    4,
  ),
  run(
    'module_load allocator=module_alloc modules=1 live=1 textSize=8K placement=spread',
    'xeon_icelake_2p',
    4,
  ),
  run('sockex_directmap steps=4,8', 'xeon_skylake_6140_2p', 1),
  run('trace input=workloads/traces/sort.din.gz placement=spread', TWO_NODES, 4),
];

function run(words: string, machine: string, cpus: number): GoldenRun {
  const [workload, ...assignments] = words.split(' ');
  return {
    command: `${words} -m ${machine} -c ${cpus}`,
    workload: workload!,
    assignments,
    machine,
    cpus: String(cpus),
  };
}

export async function digestOfRun(
  golden: GoldenRun,
  threads: '1' | '2' | '4' | 'per-cpu',
  check = false,
): Promise<string> {
  const { workload, assignments, machine, cpus } = golden;
  const spec = await resolveSpecification({
    workload,
    assignments,
    machine,
    cpus,
    seed: '1',
    threads,
    check,
  });
  const { signal } = new AbortController();
  const finished = await runSpecification(spec, { signal, progress: null });
  const { digest } = finished.result;
  assert(digest !== null, 'the virtual engine gives a digest');
  return digest;
}
