/**
 * What is compared: five allocators of executable memory (kernel options of the family execmem),
 * on arm64 with guests that fault on stage 2 or with user text as bystanders, and on x86 with user
 * text, at a few rates of loads. Asked for in review of execmem_alloc v2 (2022-11): what loads of
 * BPF programs cost those who don't load any.
 *
 * Loaders are four, the bystanders of faults are one vCPU per node, those of text four CPUs. The
 * storm must last as long as what is measured beside it, so the number of programs follows from
 * the interval; whether it did is in the result (coverage, in rows.ts).
 */

export interface Design {
  readonly name: string;
  /** key=value of the family execmem. */
  readonly options: Readonly<Record<string, string>>;
  /** When its first pack or cache area is made: the storm starts then. */
  readonly startUs: number;
  /** Guests must still fault then: memory of a vCPU. */
  readonly guestMib: number;
  /** About what a load, its runs and an unload take beside the interval. */
  readonly loadUs: number;
}

/** Without packs the size of their pages is said to be that of the kernels without them. */
const NO_PACKS = { allocator: 'module_alloc', packPages: '4K' };

export const DESIGNS: readonly Design[] = [
  { name: 'module_alloc', options: NO_PACKS, startUs: 0, guestMib: 8, loadUs: 16 },
  ...[
    { name: 'prog_pack', startUs: 0, guestMib: 8, loadUs: 40 },
    { name: 'execmem-posted', startUs: 0, guestMib: 8, loadUs: 40 },
    { name: 'execmem-rox', startUs: 4500, guestMib: 8, loadUs: 65 },
    { name: 'typed', startUs: 9000, guestMib: 16, loadUs: 45 },
  ].map((design) => ({ ...design, options: { allocator: design.name } })),
];

/** The poke of x86 on arm64: a mapping of one CPU instead of the window of all. */
export const LOCAL_POKE: Design = {
  name: 'execmem-rox, poke=temporary-mm',
  options: { allocator: 'execmem-rox', poke: 'temporary-mm' },
  startUs: 4500,
  guestMib: 8,
  loadUs: 65,
};

/** Time between two loads of a loader. */
export const INTERVALS_US: readonly number[] = [200, 10];
export const LOADERS = 4;
export const SEEDS = 3;
const TEXT_STORM_US = 1300;
/** When the second pass of the guests is over, per MiB of a vCPU. */
const FAULTS_END_US = 1100;
const QUIET_GUEST_MIB = 8;

export interface Section {
  readonly title: string;
  readonly machine: string;
  readonly bystander: 'faults' | 'text';
  readonly designs: readonly Design[];
}

export const SECTIONS: readonly Section[] = [
  {
    title: 'arm64: vCPUs that fault on stage 2',
    machine: 'graviton4_2p',
    bystander: 'faults',
    designs: [...DESIGNS, LOCAL_POKE],
  },
  {
    title: 'arm64: CPUs that execute user text',
    machine: 'graviton4_2p',
    bystander: 'text',
    designs: [...DESIGNS, LOCAL_POKE],
  },
  {
    title: 'x86: CPUs that execute user text',
    machine: 'xeon_icelake_2p',
    bystander: 'text',
    designs: DESIGNS,
  },
];

export interface Point {
  readonly section: Section;
  /** null: (nearly) no loads. */
  readonly design: Design | null;
  readonly intervalUs: number;
}

/** One line each, quiet first. */
export function pointsOf(section: Section): readonly Point[] {
  const loaded = section.designs.flatMap((design) =>
    INTERVALS_US.map((intervalUs) => ({ section, design, intervalUs })),
  );
  return [{ section, design: null, intervalUs: TEXT_STORM_US }, ...loaded];
}

/** Programs of a loader, so that the storm outlasts what is measured. */
export function programsOf({ section, design, intervalUs }: Point): number {
  const { startUs, loadUs, guestMib } = design ?? { startUs: 0, loadUs: 0, guestMib: 0 };
  const faultsUs = guestMib * FAULTS_END_US - startUs;
  const stormUs = section.bystander === 'text' ? TEXT_STORM_US : faultsUs;
  return Math.ceil(stormUs / (intervalUs + loadUs));
}

/** Words after `numalab run` for text; of `folder`, what profileText wrote for faults. */
export function wordsOf(point: Point, profile: string): readonly string[] {
  const common = ['-s', '1', '-r', String(SEEDS)];
  if (point.section.bystander === 'faults') return [profile, ...common];
  const options = Object.entries(point.design?.options ?? {});
  return [
    ...['bpf_load_storm', '-m', point.section.machine, '-c', '8', ...common],
    ...[`loaders=${LOADERS}`, `programs=${programsOf(point)}`, `interval=${point.intervalUs}us`],
    ...options.map(([name, value]) => `${name}=${value}`),
  ];
}

/** Guests on both nodes, loaders beside them on both. */
export function profileText(point: Point): string {
  const guests = [
    'name: what-if-bpf',
    'description: stage-2 faults beside loads of BPF programs',
    `machine: ${point.section.machine}`,
    'parts:',
    '  - label: guests',
    '    workload: dirty_log_perf_test',
    '    cpus: 0,96-97',
    `    parameters: { perVcpuMemory: ${point.design?.guestMib ?? QUIET_GUEST_MIB}M }`,
  ];
  if (point.design === null) return `${guests.join('\n')}\n`;
  const options = Object.entries(point.design.options).map((pair) => pair.join(': '));
  const parameters = [
    `loaders: ${LOADERS}`,
    `programs: ${programsOf(point)}`,
    `interval: ${point.intervalUs}us`,
    ...options,
  ];
  return `${[
    ...guests,
    '  - label: loaders',
    '    workload: bpf_load_storm',
    '    cpus: 8-9,104-105',
    `    parameters: { ${parameters.join(', ')} }`,
  ].join('\n')}\n`;
}
