/**
 * Every parameter of a machine profile, once: its dotted name, kind, unit, bounds and meaning. The
 * schema, the checks, the resolver, `machine show` and the import of numactl's text all read this
 * table, so that a new parameter is one row here and one use in resolve.ts.
 *
 * Costs (`costs.NAME`) follow costs.ts; topology lists are described in topology.ts.
 */

import { COST_NAMES } from './costs.ts';
import { EXPECTED, type QuantityKind } from './quantity.ts';

export interface MachineParameter {
  /** Dotted: `latency.dramLocal`. */
  readonly name: string;
  readonly kind: QuantityKind;
  /** Unit of a bare number. */
  readonly unit: string;
  /** false: may be left out (the tier doesn't exist, or a rule gives the value). */
  readonly required: boolean;
  /** Smallest legal value in the unit of the row; 'positive': anything above zero. */
  readonly least: number | 'positive';
  readonly choices?: readonly string[];
  readonly example: string;
  readonly description: string;
}

type Extra = Partial<Pick<MachineParameter, 'required' | 'least' | 'choices'>>;

function row(
  name: string,
  kind: QuantityKind,
  unit: string,
  example: string,
  description: string,
  extra: Extra = {},
): MachineParameter {
  return { name, kind, unit, example, description, required: true, least: 'positive', ...extra };
}

function cacheRows(name: string, what: string, example: string): MachineParameter[] {
  return [
    row(`caches.${name}.size`, 'size', 'bytes', example, `${what}: capacity`),
    row(`caches.${name}.ways`, 'count', 'ways', '8', `${what}: associativity`),
    row(`caches.${name}.latency`, 'time', 'ns', '4 cycles', `${what}: load-to-use of a hit`),
  ];
}

function tlbRows(name: string, what: string): MachineParameter[] {
  return [
    row(`tlbs.${name}.entries`, 'count', 'entries', '48', `${what}: entries`),
    row(`tlbs.${name}.ways`, 'count', 'ways', '8', `${what}: ways, 0 = fully associative`, {
      least: 0,
    }),
  ];
}

const optional: Extra = { required: false };
const zero: Extra = { least: 0 };

const LATENCY_ROWS: readonly MachineParameter[] = [
  row('latency.dramLocal', 'time', 'ns', '114.08', "load-to-use of memory of the CPU's own node"),
  row(
    'latency.dramCrossDie',
    'time',
    'ns',
    '163.5',
    'load-to-use of memory of another node of the same socket',
    optional,
  ),
  row(
    'latency.dramRemote',
    'time',
    'ns',
    '256.6',
    'load-to-use of memory of another socket',
    optional,
  ),
  row(
    'latency.transferCluster',
    'time',
    'ns',
    '30',
    'cache-to-cache transfer between CPUs of one cluster',
    optional,
  ),
  row(
    'latency.transferDie',
    'time',
    'ns',
    '40',
    'cache-to-cache transfer between clusters of one die',
    optional,
  ),
  row('latency.transferNode', 'time', 'ns', '45', 'cache-to-cache transfer inside a node'),
  row(
    'latency.transferCrossDie',
    'time',
    'ns',
    '80.5',
    'cache-to-cache transfer between nodes of one socket',
    optional,
  ),
  row(
    'latency.transferCrossSocket',
    'time',
    'ns',
    '138.6',
    'cache-to-cache transfer between sockets',
    optional,
  ),
];

const TRAFFIC_ROWS: readonly MachineParameter[] = [
  row('bandwidth.local', 'bandwidth', 'GB/s', '500', 'memory channels of one node together'),
  row(
    'bandwidth.crossDie',
    'bandwidth',
    'GB/s',
    '400',
    'directed link between nodes of one socket',
    optional,
  ),
  row('bandwidth.remote', 'bandwidth', 'GB/s', '77', 'directed link between sockets', optional),
  row(
    'coherence.llcPlacement',
    'choice',
    '',
    'home',
    "last-level cache of the line's home or of the requester's domain",
    { choices: ['home', 'requester'] },
  ),
  row(
    'coherence.atomics',
    'choice',
    '',
    'near',
    'atomics run in the private cache (near) or at the home (far)',
    { choices: ['near', 'far'] },
  ),
  row(
    'coherence.upgrade',
    'time',
    'ns',
    '25',
    'write request of a CPU that shares the line already: no data moves',
  ),
  row('coherence.homeService', 'time', 'ns', '2', 'occupancy of a home slice per request served'),
  row('coherence.snoop', 'time', 'ns', '0.5', 'occupancy of a home slice per snoop sent', zero),
  row('coherence.homeSlices', 'count', 'slices', '32', 'slices (ports) of one home'),
  row(
    'coherence.wake',
    'time',
    'ns',
    '5',
    'from the loss of a monitored line to the new request of a waiting CPU',
    zero,
  ),
  row('coherence.wakeSpread', 'time', 'ns', '8', 'spread of a snoop fan-out over waiters', zero),
  row(
    'coherence.poll',
    'time',
    'ns',
    '50',
    'without WFE: from one look at a line to the next while waiting (load and PAUSE)',
    optional,
  ),
  row('dvm.service', 'time', 'ns', '300', "a DVM agent's time per TLBI, Sync or I-cache operation"),
  row('dvm.ack', 'time', 'ns', '25', "least time to a CPU's acknowledgement"),
  row('dvm.stall', 'time', 'ns', '20', 'stall of each CPU that receives an invalidation', zero),
  row('ipi.delivery', 'time', 'ns', '1500', 'inter-processor interrupt inside a node'),
];

function feature(name: string, description: string, choices?: readonly string[]): MachineParameter {
  const kind = choices === undefined ? 'flag' : 'choice';
  const extra = choices === undefined ? {} : { choices };
  return row(`features.${name}`, kind, '', choices?.[0] ?? 'true', description, extra);
}

const FEATURE_ROWS: readonly MachineParameter[] = [
  row('features.core', 'text', '', 'neoverse-v2', 'name of the core'),
  feature(
    'bbm',
    "FEAT_BBM level; 2-noabort: on the kernel's list of cores without conflict aborts",
    ['0', '1', '2', '2-noabort'],
  ),
  feature('vhe', 'FEAT_VHE: the host kernel runs at EL2'),
  feature('lse', 'FEAT_LSE: atomic instructions'),
  feature('fwb', 'FEAT_S2FWB: no cache maintenance when stage 2 maps a page'),
  feature('tlbirange', 'FEAT_TLBIRANGE: one TLBI for a range of pages'),
  feature('dic', 'CTR_EL0.DIC: no instruction cache invalidation for coherence'),
  feature('idc', 'CTR_EL0.IDC: no data cache clean to the point of unification'),
  feature('hafdbs', 'FEAT_HAFDBS: hardware access flag, dirty state', ['none', 'af', 'dbm']),
  feature('lpa2', 'FEAT_LPA2: 52-bit addresses with 4K and 16K pages'),
  feature('vmidBits', 'bits of a VMID', ['8', '16']),
  feature('asidBits', 'bits of an ASID', ['8', '16']),
  feature('wfe', 'WFE waits on the exclusive monitor; false: waiting polls'),
];

/** In the order in which `machine show` prints them; costs are at the end. */
export const MACHINE_PARAMETERS: readonly MachineParameter[] = [
  row('clock', 'frequency', 'GHz', '2.8', 'clock of the CPUs under load'),
  ...cacheRows('l1i', 'L1 instruction cache', '64K'),
  ...cacheRows('l1d', 'L1 data cache', '64K'),
  ...cacheRows('l2', 'private L2 cache', '2M'),
  ...cacheRows('llc', 'last-level cache of one node', '36M'),
  ...tlbRows('itlb', 'instruction TLB'),
  ...tlbRows('dtlb', 'data TLB'),
  ...tlbRows('tlb2', 'unified second-level TLB'),
  row(
    'tlbs.tlb2.penalty',
    'time',
    'ns',
    '5 cycles',
    'second-level TLB: added by a hit there',
    zero,
  ),
  row('tlbs.walkCache', 'count', 'entries', '16', 'walk cache: table descriptors per level', zero),
  ...LATENCY_ROWS,
  ...TRAFFIC_ROWS,
  ...FEATURE_ROWS,
  ...COST_NAMES.map((name) =>
    row(
      `costs.${name}`,
      'time',
      'ns',
      '100',
      'time of a step that is no memory access (costs.ts)',
      {
        required: false,
        least: 0,
      },
    ),
  ),
];

/** `topology.NAME`: lists, one element per node unless said otherwise. */
export const TOPOLOGY_PARAMETERS: readonly {
  readonly name: string;
  readonly description: string;
}[] = [
  { name: 'topology.cpus', description: 'CPUs of each node, as cpulists; empty: no CPUs' },
  { name: 'topology.sockets', description: 'socket of each node' },
  { name: 'topology.clusterCpus', description: 'CPUs per cluster (shared L2 agent, DSU, CCX)' },
  { name: 'topology.dieCpus', description: 'CPUs per die, when a node has several dies' },
  { name: 'topology.memory', description: 'memory of each node, 256G at most; 0: none' },
  { name: 'topology.distances', description: 'ACPI SLIT; latencies never come from it' },
  { name: 'latency.dramMatrix', description: 'memory latency by node of CPU and of memory' },
];

/** "a time above 0 in ns, or with ps, us, ms or cycles". */
export function expectedOf(row: MachineParameter): string {
  if (row.choices !== undefined) return row.choices.join(', ');
  const [thing, spelling] = EXPECTED[row.kind];
  if (row.kind === 'flag' || row.kind === 'text') return thing;
  return `${thing} ${row.least === 'positive' ? 'above 0' : `of ${row.least} or more`}${spelling}`;
}
