/**
 * Every metric and counter, declared once: number, name, unit, one-line description. Tables, JSON,
 * `numalab list metrics` and histograms derive from these tables.
 *
 * A metric is a latency in picoseconds taken by Cpu.begin/end and kept as a histogram per node; a
 * counter is a sum per CPU. `Metric.X` and `Counter.X` are plain numbers for hot paths.
 *
 * A metric may be part of another (third field): its time lies inside one operation of that one.
 * Invariant: the parts of one metric never overlap, so that "where the time went" adds up.
 */

export interface Definition {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  /** Name of the metric whose operations this one is a part of. */
  readonly partOf?: string;
}

const metrics = {
  GuestAccess: ['guest.access', 'guest memory access that left the private caches'],
  FaultService: ['fault.service', 'one exit: exception entry to ERET'],
  FaultStall: ['fault.stall', 'first abort until the access is performed, refaults included'],
  FaultLockWait: ['fault.lockWait', 'waiting for mmu_lock in the fault path', 'fault.service'],
  FaultMmapLockWait: [
    'fault.mmapLockWait',
    'waiting for mmap_lock or the VMA lock in the fault path',
    'fault.service',
  ],
  FaultWalk: ['fault.walk', 'software walk and update of the stage-2 tables', 'fault.service'],
  FaultTlbi: ['fault.tlbi', 'TLBI issue to completed DSB in the fault path', 'fault.service'],
  FaultAlloc: [
    'fault.alloc',
    'page allocation in the fault path: memcache top-up and data page',
    'fault.service',
  ],
  FaultCmo: ['fault.cmo', 'cache maintenance of the mapped page', 'fault.service'],
  FaultUserfault: [
    'fault.userfault',
    'userfaultfd: message to wake-up of the faulting task',
    'fault.service',
  ],
  DirtyLogGet: ['dirtyLog.get', 'KVM_GET_DIRTY_LOG of one memslot'],
  DirtyLogClear: ['dirtyLog.clear', 'KVM_CLEAR_DIRTY_LOG of one chunk'],
  EagerSplit: ['stage2.eagerSplit', 'eager split of one chunk'],
  NotifierInvalidate: ['notifier.invalidate', 'MMU notifier: invalidate start to end'],
  MemslotModify: ['memslot.modify', 'KVM_SET_USER_MEMORY_REGION'],
  Unmap: ['stage2.unmap', 'unmapping a range of stage 2'],
  HostFault: ['mm.fault', 'host page fault: exception entry to ERET'],
  HostFaultLockWait: [
    'mm.fault.lockWait',
    'waiting for mmap_lock or the VMA lock in a host fault',
    'mm.fault',
  ],
  Mmap: ['mm.mmap', 'mmap system call'],
  Munmap: ['mm.munmap', 'munmap system call'],
  MemoryRead: ['memory.read', 'one dependent load of the chase'],
  LineTransfer: ['line.transfer', 'compare-and-swap on a line that another CPU owns'],
  ShootdownTlbi: ['tlb.shootdown', 'invalidation of one page on every CPU'],
  LockWait: ['lock.wait', 'from asking for a lock to owning it'],
  LockHold: ['lock.hold', 'from owning a lock to releasing it'],
  RcuGracePeriod: ['rcu.gracePeriod', 'call_rcu to callback'],
  PageWalk: ['tlb.walk', 'hardware page-table walk'],
  TextFetch: ['text.fetch', 'a line of kernel text that left the private caches'],
  TextRun: ['text.run', 'one pass through a stretch of kernel text'],
  TextPatch: ['text.patch', 'patching one instruction, every copy and its maintenance included'],
  TextPropagate: ['text.propagate', 'a new top-level entry written to the root of every node'],
  BpfLoad: ['bpf.load', 'one program: from the allocation of its text to its first possible run'],
  BpfLoadAlloc: ['bpf.load.alloc', 'finding room for the text of a program', 'bpf.load'],
  BpfLoadJit: ['bpf.load.jit', 'writing the code of a program', 'bpf.load'],
  BpfLoadPoke: ['bpf.load.poke', 'copying the code through a poke window', 'bpf.load'],
  BpfLoadProtect: ['bpf.load.protect', 'changes of permissions and their flushes', 'bpf.load'],
  BpfRun: ['bpf.run', 'one run of a program'],
  BpfFree: ['bpf.free', 'giving back the text of a program'],
  ModuleLoad: ['module.load', 'one module: memory, copy, permissions'],
  ModuleUnload: ['module.unload', 'giving back the memory of a module'],
  VmallocAlloc: ['vmalloc.alloc', 'finding an area and mapping its pages'],
  VmallocFree: ['vmalloc.free', 'unmapping an area; the flush is lazy'],
  VmallocPurge: ['vmalloc.purge', 'flush and purge of areas freed lazily'],
  TraceLoad: ['trace.load', 'one load of a trace, all its lines'],
  TraceStore: ['trace.store', 'one store of a trace, all its lines'],
  TraceFetch: ['trace.fetch', 'one instruction of a trace, all its lines'],
  GuestSwitch: ['guest.switch', 'one exit of a guest to the host kernel, and its return'],
  TextVerify: ['text.verify', 'comparing the copies of kernel text'],
  TextCall: ['text.call', 'one system call: the way in, kernel text, the way out'],
  TextAlternatives: ['text.alternatives', 'replacing one range of kernel text in every copy'],
  DbTransaction: ['db.transaction', 'one transaction: data, system calls, kernel text'],
  VmallocTest: ['vmalloc.test', 'one repetition of a case of test_vmalloc'],
} as const;

const counters = {
  L1Hits: ['l1.hits', 'accesses', 'data accesses that hit the L1 data cache'],
  L2Hits: ['l2.hits', 'accesses', 'data accesses that hit the private L2'],
  Misses: ['cache.misses', 'accesses', 'data accesses that left the private caches'],
  LlcHits: ['llc.hits', 'requests', 'requests answered by a last-level cache'],
  LocalDram: ['dram.local', 'requests', 'requests answered by memory of the own node'],
  RemoteDram: ['dram.remote', 'requests', 'requests answered by memory of another node'],
  LocalTransfers: ['transfer.local', 'requests', 'lines received from a cache of the own node'],
  RemoteTransfers: ['transfer.remote', 'requests', 'lines received from a cache of another node'],
  Upgrades: ['cache.upgrades', 'requests', 'write requests for a line that the CPU still shared'],
  WriteBacks: ['cache.writebacks', 'lines', 'victims sent back to their home'],
  DtlbL1Misses: [
    'dTLB-load-misses.l1',
    'accesses',
    'data accesses that missed the first TLB level',
  ],
  DtlbMisses: ['dTLB-load-misses', 'accesses', 'data accesses that needed a walk'],
  ItlbMisses: ['iTLB-load-misses', 'accesses', 'instruction fetches that needed a walk'],
  WalkReads: ['walk.reads', 'descriptors', 'descriptors read by the page-table walker'],
  Retranslated: ['access.retranslated', 'accesses', 'accesses translated again after a TLBI'],
  Accesses: ['accesses', 'accesses', 'data accesses performed'],
  Fetches: ['instructions.fetched', 'lines', 'instruction lines fetched'],
  TlbiIssued: ['tlbi.issued', 'operations', 'TLBI instructions issued'],
  TlbiBroadcast: ['tlbi.broadcast', 'operations', 'of these broadcast over DVM'],
  DvmReceived: ['dvm.received', 'operations', 'DVM operations that stalled this CPU'],
  Dsb: ['dsb', 'operations', 'DSBs performed'],
  IpiSent: ['ipi.sent', 'interrupts', 'IPIs sent'],
  IpiTaken: ['ipi.taken', 'interrupts', 'IPIs taken'],
  WfeWakes: ['wfe.wakes', 'wakes', 'times a conditional load was woken'],
  TieDecisions: ['home.ties', 'requests', 'requests ordered by the tie hash'],
  Marks: ['operations', 'operations', 'completed operations of the workload'],
  Exceptions: ['exceptions', 'exceptions', 'synchronous exceptions taken'],
  FaultsStage2: ['fault.count', 'faults', 'stage-2 faults handled'],
  FaultsRetried: ['fault.eagain', 'faults', 'faults that ended in -EAGAIN: the guest re-executes'],
  FaultsMapped: ['fault.mapped', 'faults', 'faults that installed a mapping'],
  FaultsRelaxed: ['fault.relaxed', 'faults', 'faults that only relaxed permissions'],
  FaultsAccessFlag: ['fault.accessFlag', 'faults', 'access-flag faults'],
  NotifierRetries: ['notifier.retries', 'faults', 'faults that met an MMU notifier invalidation'],
  NotifierFired: ['notifier.fired', 'invalidations', 'MMU notifier invalidations'],
  BlocksSplit: ['stage2.splits', 'blocks', 'stage-2 blocks split'],
  BlocksPromoted: ['stage2.promoted', 'blocks', 'tables collapsed into blocks'],
  TablePagesFreed: ['stage2.tablesFreed', 'pages', 'stage-2 table pages freed'],
  PagesAllocated: ['pgalloc', 'pages', 'pages allocated'],
  PagesFreed: ['pgfree', 'pages', 'pages freed'],
  NumaHit: ['numa_hit', 'pages', 'pages allocated on the node that was wanted'],
  NumaMiss: ['numa_miss', 'pages', 'pages allocated here though another node was wanted'],
  NumaForeign: ['numa_foreign', 'pages', 'pages wanted here but allocated on another node'],
  LocalNode: ['local_node', 'pages', 'pages allocated on the node of the CPU'],
  OtherNode: ['other_node', 'pages', 'pages allocated on another node than the CPU'],
  HostFaults: ['minor-faults', 'faults', 'host page faults'],
  LockAcquisitions: ['lock.acquisitions', 'acquisitions', 'lock acquisitions'],
  LockContentions: ['lock.contentions', 'acquisitions', 'acquisitions that had to wait'],
  LockHandoversLocal: ['lock.handovers.local', 'acquisitions', 'previous owner on the same node'],
  LockHandoversRemote: ['lock.handovers.remote', 'acquisitions', 'previous owner on another node'],
  RcuCallbacks: ['rcu.callbacks', 'callbacks', 'RCU callbacks invoked'],
  VmidRollovers: ['vmid.rollovers', 'rollovers', 'VMID allocator generations'],
  UserfaultMessages: ['uffd.messages', 'messages', 'userfaultfd messages handled'],
  TextPatches: ['text.patches', 'instructions', 'instructions of kernel text patched'],
  TextCopiesPatched: ['text.copiesPatched', 'instructions', 'instructions written to copies'],
  BpfLoads: ['bpf.loads', 'programs', 'programs loaded'],
  BpfFallbacks: ['bpf.fallbacks', 'programs', 'programs over the charge limit: interpreted'],
  BpfTextBytes: ['bpf.textBytes', 'bytes', 'text of programs loaded'],
  ExecmemPopulated: ['execmem.populated', 'areas', 'packs or cache areas made'],
  ExecmemSmallPages: ['execmem.smallPages', 'areas', 'of these without a huge page to be had'],
  DirectMapSplits: ['directMap.splits', 'blocks', 'blocks of the linear map split'],
  VmallocPurges: ['vmalloc.purges', 'purges', 'lazily freed areas purged'],
  KernelRangeFlushes: ['flush_tlb_kernel_range', 'flushes', 'flushes of kernel addresses'],
  CodeBroadcasts: ['kick_all_cpus_sync', 'rounds', 'IPIs to all CPUs after a change of code'],
  ItlbL1Misses: [
    'iTLB-load-misses.l1',
    'fetches',
    'instruction fetches that missed the first TLB level',
  ],
  L1iMisses: ['l1i.misses', 'fetches', 'instruction fetches that missed the L1 instruction cache'],
  FetchL2Misses: ['fetch.misses', 'fetches', 'instruction fetches that left the private caches'],
  FetchesLocal: ['fetch.local', 'requests', 'instruction lines that came from the own node'],
  FetchesRemote: ['fetch.remote', 'requests', 'instruction lines that came from another node'],
  HypFetchesLocal: ['text.hyp.local', 'fetches', 'lines of EL2 text fetched from the own node'],
  HypFetchesRemote: ['text.hyp.remote', 'fetches', 'lines of EL2 text fetched from another node'],
  TextReplays: ['text.replays', 'stores', 'stores to kernel text that EL2 replayed to every copy'],
  ExecmemOutOfReach: [
    'execmem.plts',
    'programs',
    'programs out of reach of kernel text: calls through a PLT entry',
  ],
  LlcRemoteHits: [
    'llc.remoteHits',
    'requests',
    'of llc.hits: lines of other nodes in the own domain',
  ],
} as const;

type Numbered<T> = { readonly [K in keyof T]: number };

function numbered<T extends object>(table: T): Numbered<T> {
  return Object.fromEntries(Object.keys(table).map((key, index) => [key, index])) as Numbered<T>;
}

export const Metric = numbered(metrics);
export const METRICS: readonly Definition[] = Object.values(metrics).map(
  ([name, description, partOf]: readonly [string, string, string?]) => ({
    name,
    unit: 'ns',
    description,
    ...(partOf === undefined ? {} : { partOf }),
  }),
);

export const Counter = numbered(counters);
export const COUNTERS: readonly Definition[] = Object.values(counters).map(
  ([name, unit, description]) => ({
    name,
    unit,
    description,
  }),
);
