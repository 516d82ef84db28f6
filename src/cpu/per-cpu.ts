/**
 * Layout of a CPU's own area (what TPIDR_EL1 points to in Linux): emulated memory with contents,
 * homed on the CPU's node, one per CPU. `Cpu.perCpuHi(id)` and `perCpuLo(id)` give its linear-map
 * address; each subsystem owns one stretch. Every stretch starts on a cache line of its own.
 */

export const PerCpu = {
  /** Queue nodes of locks (qspinlock: 4 nesting levels; MCS, CLH, osq, qrwlock, ...). */
  LockNodes: 0,
  /** RCU and SRCU state of the CPU. */
  Rcu: 4096,
  /** Page lists in front of the buddy allocator (pcp). */
  PageLists: 8192,
  /** Memcaches and other KVM per-vCPU state. */
  Kvm: 12288,
  /** Run-queue word, task state, wait-queue entries. */
  Task: 14336,
  /** What a flush of kernel addresses by IPI is about (kernel/smp). */
  Smp: 15296,
  /** Free for workloads. */
  Workload: 15360,
} as const;

export const PER_CPU_BYTES = 16384;
