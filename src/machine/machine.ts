/**
 * A machine as the emulator uses it: every number resolved, in picoseconds and bytes, with the
 * provenance of each parameter beside it. Built from a profile by resolve.ts; plain data and typed
 * arrays only, so that it can be sent to worker threads as it is.
 */

export type Confidence = 'published' | 'derived' | 'estimate';

export interface Provenance {
  readonly value: number | string;
  readonly unit: string;
  readonly source: string;
  readonly confidence: Confidence;
}

export interface CacheGeometry {
  readonly bytes: number;
  readonly ways: number;
  readonly sets: number;
  /** Load-to-use latency of a hit. */
  readonly latencyPs: number;
}

export interface TlbGeometry {
  readonly entries: number;
  /** 0 = fully associative. */
  readonly ways: number;
  /** Added to an access that hits here and not in the level before. */
  readonly penaltyPs: number;
}

export interface Features {
  readonly core: string;
  /** CPU's FEAT_BBM level; '2-noabort': on the kernel's MIDR list. */
  readonly bbm: '0' | '1' | '2' | '2-noabort';
  readonly vhe: boolean;
  readonly lse: boolean;
  /** FEAT_S2FWB: stage-2 forces write-back, no cache maintenance on mapping. */
  readonly fwb: boolean;
  readonly tlbirange: boolean;
  /** CTR_EL0.DIC / IDC: no I-side / D-side maintenance to the point of unification. */
  readonly dic: boolean;
  readonly idc: boolean;
  /** FEAT_HAFDBS: hardware access flag / dirty state. */
  readonly hafdbs: 'none' | 'af' | 'dbm';
  readonly lpa2: boolean;
  readonly vmidBits: 8 | 16;
  readonly asidBits: 8 | 16;
  /** false: no WFE monitor (x86): conditional loads poll. */
  readonly wfe: boolean;
}

/** Matrices are row-major [from * nodeCount + to]. */
export interface Machine {
  readonly name: string;
  readonly description: string;
  readonly architecture: 'arm64' | 'x86';
  /** SHA-256 of the resolved parameters (sorted-key JSON). */
  readonly hash: string;
  readonly clockMhz: number;

  readonly nodeCount: number;
  readonly cpuCount: number;
  readonly nodeOfCpu: Int32Array;
  readonly clusterOfCpu: Int32Array;
  readonly dieOfCpu: Int32Array;
  readonly socketOfCpu: Int32Array;
  readonly socketOfNode: Int32Array;
  /** Bytes of memory per node; 0 for a node without memory. At most 256 GiB each. */
  readonly memoryBytesOfNode: Float64Array;
  /** ACPI SLIT, informational: latencies are never derived from it. */
  readonly slit: Int32Array;

  readonly l1i: CacheGeometry;
  readonly l1d: CacheGeometry;
  readonly l2: CacheGeometry;
  /** Capacity per node; latencyPs = load-to-use of a last-level hit in the own node. */
  readonly llc: CacheGeometry;
  readonly llcPlacement: 'home' | 'requester';
  readonly atomics: 'near' | 'far';

  readonly itlb: TlbGeometry;
  readonly dtlb: TlbGeometry;
  readonly tlb2: TlbGeometry;
  /** Entries per level of the walk cache (table descriptors). */
  readonly walkCacheEntries: number;

  /** Load-to-use of memory of the requester's own node, an otherwise idle machine. */
  readonly dramPsOfNode: Float64Array;
  /** One-way time between nodes X(a, b), closed under shortest paths; 0 on the diagonal. */
  readonly hopPs: Float64Array;
  /** What remote memory costs beyond dram + 2X, [requester, home]. */
  readonly memoryExtraPs: Float64Array;
  /** What a cache-to-cache transfer costs beyond the in-node figure + path, [owner, requester]. */
  readonly transferExtraPs: Float64Array;
  /** Cache-to-cache transfer inside a node by closeness: same cluster, same die, same node. */
  readonly transferClusterPs: number;
  readonly transferDiePs: number;
  readonly transferNodePs: number;
  /** Write request of a CPU that still shares the line: no data needed. */
  readonly upgradePs: number;

  /** L: least in-node answer time (ER-T2). */
  readonly lookaheadPs: number;
  /** Least hop between different nodes; Infinity on one node. */
  readonly leastHopPs: number;
  /** G: the grid step (ER-T5). */
  readonly gridPs: number;

  /** Home port occupancy per served request and per snoop sent; ports (slices) per home. */
  readonly homeServicePs: number;
  readonly snoopPs: number;
  readonly homeSlices: number;
  /** Time one line occupies a node's memory channels / a directed link. */
  readonly channelPsPerLine: Float64Array;
  readonly linkPsPerLine: Float64Array;

  /** WFE: from loss of the line to the new request, and the spread of the fan-out. */
  readonly wakePs: number;
  readonly wakeSpreadPs: number;
  /** Without WFE: from one look at the line of a condition to the next. Absent where WFE waits. */
  readonly pollPs?: number;
  /**
   * DVM: service per operation at each agent, least time to acknowledge, stall of each receiver.
   */
  readonly dvmServicePs: number;
  readonly dvmAckPs: number;
  readonly dvmStallPs: number;
  /** IPI delivery inside a node (a hop is added between nodes). */
  readonly ipiPs: number;

  readonly features: Features;
  /** By Cost. */
  readonly costsPs: Float64Array;
  /** By dotted parameter name (`latency.dramLocal`, `costs.guestExit`, ...), in profile order. */
  readonly provenance: Readonly<Record<string, Provenance>>;
}
