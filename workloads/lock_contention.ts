/**
 * Any lock under contention: every CPU thinks, asks for a lock, touches shared lines while it
 * holds it, and releases it. The shape of locktorture and of will-it-scale's lock tests, with the
 * figures of lock_stat and those of fairness: acquisitions per CPU and node, Jain's index,
 * longest bypass, hand-overs inside a node and between nodes.
 *
 * The run ends when the fastest CPU has made its acquisitions: the others stop then, so a lock
 * that prefers some CPUs shows it in their counts. The first line touched in a critical section
 * holds the number of the acquisition and its owner; hand-overs and bypasses come from it, and
 * their sum shows that no two CPUs held the lock at once.
 */

import { assert } from '../src/base/assert.ts';
import { CheckError, UserError } from '../src/base/errors.ts';
import { LINE_BYTES, MIB, PS_PER_MS } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, fromLinear, toLinear } from '../src/memory/physical-address.ts';
import { Counter, Metric } from '../src/metrics/definition.ts';
import type { Lock, ReadWriteLock } from '../src/sync/lock.ts';
import { isReadWriteLock, LOCK_NAMES, makeLock } from '../src/sync/registry.ts';
import { DISTRIBUTIONS, type Distribution, duration } from './common/exponential.ts';
import { lockReport } from './common/lock-report.ts';
import { numberOf, textOf } from './common/values.ts';
import type { Image, Workload, WorkloadContext } from './workload.ts';

const STREAM_START = 0;
const STREAM_THINK = 1;
const STREAM_HOLD = 2;
const STREAM_LOCK = 3;
const STREAM_KIND = 4;
const PHASE_WARM_UP = 0;
const PHASE_CONTENDED = 1;
/** Of the accounting line: acquisitions so far, CPU number + 1 of the last owner. */
const OWNER = 4;

interface LockPlace {
  readonly lock: Address;
  /** Accounting line, then the shared lines. */
  readonly data: Address;
}

export interface ContentionImage {
  readonly places: readonly LockPlace[];
  readonly stop: Address;
  /** By role: a line on the CPU's node with its longest bypass. */
  readonly bypasses: readonly Address[];
}

interface Plan {
  readonly lock: Lock | ReadWriteLock;
  readonly acquisitions: number;
  readonly warmUp: number;
  readonly lines: number;
  readonly holdPs: number;
  readonly thinkPs: number;
  readonly distribution: Distribution;
  readonly readersPercent: number;
  readonly ownLock: boolean;
}

/** From the value of `lock=`: a name of the registry, or a user's file. */
type LockOf = (name: string) => Lock | ReadWriteLock;

function planOf(context: WorkloadContext, lockOf: LockOf): Plan {
  const { parameters } = context;
  const lock = lockOf(textOf(parameters, 'lock'));
  const readersPercent = numberOf(parameters, 'readers');
  if (readersPercent > 0 && !isReadWriteLock(lock)) {
    throw new UserError(`readers: ${lock.name} has no read side; choose a reader-writer lock`);
  }
  const { cpusMax } = lock;
  const cpus = context.placement.cpus.length;
  if (cpusMax !== undefined && cpus > cpusMax) {
    throw new UserError(`lock ${lock.name} is for ${cpusMax} CPUs, not ${cpus}; use -c ${cpusMax}`);
  }
  return {
    lock,
    acquisitions: numberOf(parameters, 'acquisitions'),
    warmUp: numberOf(parameters, 'warmUp'),
    lines: numberOf(parameters, 'lines'),
    holdPs: numberOf(parameters, 'hold'),
    thinkPs: numberOf(parameters, 'think'),
    distribution: textOf(parameters, 'distribution') as Distribution,
    readersPercent,
    ownLock: textOf(parameters, 'pick') === 'own',
  };
}

/** Locks go round the nodes of the CPUs that take part, lock i beside CPU i. */
function boot(memory: BootMemory, context: WorkloadContext, plan: Plan): Image {
  const { machine, placement } = context;
  const nodeOf = (index: number): number =>
    machine.nodeOfCpu[placement.cpus[index % placement.cpus.length]!]!;
  const places: LockPlace[] = [];
  for (let i = 0; i < numberOf(context.parameters, 'locks'); i++) {
    const node = nodeOf(i);
    const suffix = i === 0 ? '' : `[${i}]`;
    const bytes = Math.max(plan.lock.bytes, 4);
    const lock = memory.allocateNamed(`lock${suffix}`, node, bytes, 2 * LINE_BYTES);
    plan.lock.init?.(memory, lock);
    const dataBytes = (1 + plan.lines) * LINE_BYTES;
    const data = memory.allocateNamed(`data${suffix}`, node, dataBytes, 2 * LINE_BYTES);
    places.push({ lock: toLinear(lock), data: toLinear(data) });
  }
  const stop = toLinear(memory.allocateNamed('stop', nodeOf(0), LINE_BYTES, 2 * LINE_BYTES));
  const bypasses = placement.cpus.map((_, role) =>
    toLinear(memory.allocate(nodeOf(role), LINE_BYTES)),
  );
  return { places, stop, bypasses } satisfies ContentionImage;
}

class Contender {
  readonly #cpu: Cpu;
  readonly #plan: Plan;
  readonly #image: ContentionImage;
  readonly #role: number;
  /** By lock: number of this CPU's last acquisition, 0 = none yet. */
  readonly #last: Float64Array;
  #longestBypass = 0;

  constructor(cpu: Cpu, plan: Plan, image: ContentionImage, role: number) {
    this.#cpu = cpu;
    this.#plan = plan;
    this.#image = image;
    this.#role = role;
    this.#last = new Float64Array(image.places.length);
  }

  *run(): Program {
    const cpu = this.#cpu;
    const plan = this.#plan;
    const { hi, lo } = this.#image.stop;
    const skewPs = 1_000_000 + 2 * (plan.thinkPs + plan.holdPs);
    cpu.compute(cpu.random(STREAM_START) % skewPs);
    for (let i = 0; i < plan.warmUp; i++) yield this.#operation(false);
    cpu.phase(PHASE_CONTENDED);
    for (let i = 0; i < plan.acquisitions; i++) {
      while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
      if (cpu.lo !== 0) break;
      yield this.#operation(true);
      cpu.mark();
    }
    while (!cpu.store32(hi, lo, 1, Order.Relaxed)) yield;
    cpu.phase(PHASE_WARM_UP);
  }

  /** Every stream is drawn once per operation, so that variants under one seed see the same. */
  *#operation(measured: boolean): Program {
    const cpu = this.#cpu;
    const plan = this.#plan;
    const thinkPs = duration(plan.distribution, plan.thinkPs, cpu.random(STREAM_THINK));
    const holdPs = duration(plan.distribution, plan.holdPs, cpu.random(STREAM_HOLD));
    const pick = cpu.random(STREAM_LOCK) % this.#last.length;
    const reads = cpu.random(STREAM_KIND) % 100 < plan.readersPercent;
    const which = plan.ownLock ? this.#role % this.#last.length : pick;
    const { hi, lo } = this.#image.places[which]!.lock;
    const lock = plan.lock;
    cpu.compute(thinkPs);
    cpu.begin(Metric.LockWait);
    if (reads) yield (lock as ReadWriteLock).acquireRead(cpu, hi, lo);
    else yield lock.acquire(cpu, hi, lo);
    cpu.end(Metric.LockWait);
    cpu.begin(Metric.LockHold);
    if (reads) yield* this.#read(which);
    else yield* this.#write(which, measured);
    cpu.compute(holdPs);
    cpu.end(Metric.LockHold);
    if (reads) yield (lock as ReadWriteLock).releaseRead(cpu, hi, lo);
    else yield lock.release(cpu, hi, lo);
  }

  *#write(which: number, measured: boolean): Program {
    const cpu = this.#cpu;
    const { hi, lo } = this.#image.places[which]!.data;
    while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
    const number = cpu.lo + 1;
    const previous = cpu.hi - 1;
    while (!cpu.store32(hi, lo, number, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + OWNER, cpu.id + 1, Order.Relaxed)) yield;
    if (measured) yield* this.#account(which, number, previous);
    this.#last[which] = number;
    for (let line = 1; line <= this.#plan.lines; line++) {
      const at = lo + line * LINE_BYTES;
      while (!cpu.load32(hi, at, Order.Relaxed)) yield;
      const value = cpu.lo + 1;
      while (!cpu.store32(hi, at, value, Order.Relaxed)) yield;
    }
  }

  *#read(which: number): Program {
    const cpu = this.#cpu;
    const { hi, lo } = this.#image.places[which]!.data;
    for (let line = 0; line <= this.#plan.lines; line++) {
      while (!cpu.load32(hi, lo + line * LINE_BYTES, Order.Relaxed)) yield;
    }
  }

  /** A bypass is counted from this CPU's last acquisition: what others had in between. */
  *#account(which: number, number: number, previous: number): Program {
    const cpu = this.#cpu;
    if (previous >= 0 && previous !== cpu.id) {
      const local = cpu.nodeOfCpu(previous) === cpu.node;
      cpu.count(local ? Counter.LockHandoversLocal : Counter.LockHandoversRemote, 1);
    }
    const last = this.#last[which]!;
    const bypass = last === 0 ? 0 : number - last - 1;
    if (bypass <= this.#longestBypass) return;
    this.#longestBypass = bypass;
    const { hi, lo } = this.#image.bypasses[this.#role]!;
    while (!cpu.store32(hi, lo, bypass, Order.Relaxed)) yield;
  }
}

/**
 * Every acquisition for writing counts once in an accounting line: lost ones were not exclusive.
 */
function checkExclusion(
  image: ContentionImage,
  plan: Plan,
  operations: number,
  cpus: number,
  peek32: (paHi: number, paLo: number) => number,
): void {
  if (plan.readersPercent > 0 || plan.lock.bytes === 0) return;
  let counted = 0;
  for (const place of image.places) {
    const { hi, lo } = fromLinear(place.data);
    counted += peek32(hi, lo);
  }
  const expected = operations + cpus * plan.warmUp;
  if (counted !== expected) {
    throw new CheckError(
      `lock ${plan.lock.name} is not exclusive: ${expected} critical sections, ${counted} counted`,
    );
  }
}

type Contention = Pick<Workload, 'backedBytes' | 'operations' | 'boot' | 'program' | 'report'>;

/** All that depends on where locks come from. */
function contentionOf(lockOf: LockOf): Contention {
  return {
    backedBytes: (context) => {
      const plan = planOf(context, lockOf);
      const { bytes, bytesPerCpu = 0, bytesPerNode = 0 } = plan.lock;
      const { cpuCount, nodeCount } = context.machine;
      const perLock = Math.max(bytes, 4) + (4 + plan.lines) * LINE_BYTES + 256;
      const beside = cpuCount * bytesPerCpu + nodeCount * bytesPerNode;
      return MIB + 64 * 1024 + numberOf(context.parameters, 'locks') * (perLock + beside);
    },
    operations: (context) => context.placement.cpus.length * planOf(context, lockOf).acquisitions,
    boot: (memory, context) => boot(memory, context, planOf(context, lockOf)),
    program: (cpu, image, context) => {
      const role = context.placement.cpus.indexOf(cpu.id);
      if (role < 0) return null;
      return new Contender(cpu, planOf(context, lockOf), image as ContentionImage, role).run();
    },
    report: (facts, image, context) => {
      const plan = planOf(context, lockOf);
      const operations = facts.counters['operations'] ?? 0;
      const cpus = context.placement.cpus.length;
      assert(operations > 0, 'lock_contention ended without an operation');
      checkExclusion(image as ContentionImage, plan, operations, cpus, facts.peek32);
      const { bypasses } = image as ContentionImage;
      const longestBypass = Math.max(
        ...bypasses.map(fromLinear).map(({ hi, lo }) => facts.peek32(hi, lo)),
      );
      return lockReport(facts, plan.lock.name, longestBypass, context, PHASE_CONTENDED);
    },
  };
}

export const lockContention: Workload = {
  name: 'lock_contention',
  description: 'any lock, with hold and think times: lock_stat figures, hand-overs and fairness',
  source: 'locktorture (writers), Documentation/locking/lockstat.rst; Jain, Chiu and Hawe 1984',
  parameters: [
    {
      name: 'lock',
      alias: 'l',
      kind: 'choice',
      values: LOCK_NAMES,
      default: 'qspinlock',
      description: "the lock; 'numalab list locks' describes them",
    },
    {
      name: 'acquisitions',
      alias: 'i',
      kind: 'count',
      default: '2000',
      minimum: 1,
      maximum: 100_000_000,
      description: 'acquisitions of the fastest CPU after its warm-up; the run ends with them',
    },
    {
      name: 'hold',
      kind: 'time',
      default: '100ns',
      unit: 'ns',
      maximum: PS_PER_MS,
      description: 'mean time in the critical section, memory accesses apart',
    },
    {
      name: 'think',
      kind: 'time',
      default: '500ns',
      unit: 'ns',
      maximum: PS_PER_MS,
      description: 'mean time between a release and the next request',
    },
    {
      name: 'distribution',
      kind: 'choice',
      values: DISTRIBUTIONS,
      default: 'exponential',
      description: 'of hold and think times',
    },
    {
      name: 'locks',
      kind: 'count',
      default: '1',
      minimum: 1,
      maximum: 4096,
      description: 'number of locks, each with shared lines of its own',
    },
    {
      name: 'pick',
      kind: 'choice',
      values: ['random', 'own'],
      default: 'random',
      description: 'which of several locks a CPU takes: any, or always the one of its number',
    },
    {
      name: 'lines',
      kind: 'count',
      default: '1',
      minimum: 0,
      maximum: 64,
      description: 'shared lines read and written in the critical section, beside the accounting',
    },
    {
      name: 'readers',
      kind: 'percent',
      default: '0',
      description: 'operations that take the read side of a reader-writer lock',
    },
    {
      name: 'warmUp',
      kind: 'count',
      default: '20',
      minimum: 0,
      maximum: 1_000_000,
      description: 'acquisitions per CPU before the measured ones',
    },
  ],
  kernelOptions: [],
  seedMoves: [
    'when each CPU starts',
    'think and hold times',
    'which of several locks is taken, and whether to read',
    'ties of requests at the homes',
  ],
  phases: [{ name: 'warm-up', warmUp: true }, { name: 'contended' }],
  streams: ['start', 'think', 'hold', 'lock', 'kind'],
  defaultMachine: 'graviton4_2p',
  defaultCpus: (machine) => Math.min(16, machine.cpuCount),
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  ...contentionOf(makeLock),
  withLock: (file, lock) => ({
    ...lockContention,
    parameters: lockContention.parameters.map((parameter) =>
      parameter.name === 'lock' ? { ...parameter, values: [...LOCK_NAMES, file] } : parameter,
    ),
    ...contentionOf((name) => (name === file ? lock : makeLock(name))),
  }),
};
