/**
 * The worker-thread side of the host engine: loads the CPU's program, runs it, once or in rounds,
 * and answers with its results, a finding, or the error as data. A thread that fails raises the
 * abort word itself, because the others wait for it and not for the main thread (ER-B3).
 */

import { BugError, InterruptedError, toErrorData } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { PhysicalMemory } from '../../memory/physical-memory.ts';
import { Abort, Block, blockOf, clearRound, controlLayout, Global, State } from './control.ts';
import { ringAll } from './doorbell.ts';
import { EventLog } from './event-log.ts';
import { FindingError } from './finding.ts';
import { HostCpu } from './host-cpu.ts';
import { hostClockMs } from './host-cpu-measures.ts';
import { pinThread } from './pin.ts';
import type { HostCpuResult, HostReply, HostTask, ProgramOwner } from './spec.ts';

/** How long a wait between rounds lasts before the abort word is looked at. */
const REST_MS = 50;

export async function runHostWorker(task: HostTask): Promise<HostReply> {
  const { spec } = task;
  try {
    const pins = spec.pins?.[spec.activeCpus.indexOf(task.cpu)];
    const pinned = pins !== undefined && (await pinThread(pins));
    const owner = await loadProgram(task);
    awaitAll(task);
    const result = spec.rounds === null ? runRound(task, owner, 0) : runRounds(task, owner);
    return { kind: 'done', result: { ...result, pinned, reached: owner.reached?.() ?? [] } };
  } catch (error) {
    raiseAbort(task.control, spec.machine.cpuCount, Abort.WorkerFailed);
    if (error instanceof FindingError) return { kind: 'found', finding: error.finding };
    return { kind: 'failed', error: toErrorData(error) };
  }
}

/** Nobody begins before everybody is there: threads take longer to start than most runs last. */
function awaitAll({ control, spec }: HostTask): void {
  const words = new Int32Array(control);
  Atomics.add(words, Global.Ready, 1);
  Atomics.notify(words, Global.Ready);
  for (;;) {
    const ready = Atomics.load(words, Global.Ready);
    if (ready === spec.activeCpus.length) return;
    if (Atomics.load(words, Global.Abort) !== Abort.None) {
      throw new InterruptedError('another thread ended the run');
    }
    Atomics.wait(words, Global.Ready, ready, REST_MS);
  }
}

type RoundResult = Omit<HostCpuResult, 'pinned' | 'reached'>;

function runRound(task: HostTask, owner: ProgramOwner, round: number): RoundResult {
  const cpu = new HostCpu(task, round);
  return cpu.run(makeProgram(owner, cpu, task));
}

function makeProgram(owner: ProgramOwner, cpu: Cpu, { spec }: HostTask): Program | null {
  const program = owner.program(cpu, spec.image, spec.context);
  if (program !== null && typeof program?.next !== 'function') {
    throw new BugError(`${spec.program.exportName} made something that is no program`);
  }
  return program;
}

/** The result of the last round, with the counters of all. */
function runRounds(task: HostTask, owner: ProgramOwner): RoundResult {
  const rounds = new Rounds(task, owner);
  let sum: RoundResult | null = null;
  for (let round = 0; ; round++) {
    const result = runRound(task, owner, round);
    if (sum !== null) {
      const before = sum.counters;
      for (let i = 0; i < before.length; i++) result.counters[i]! += before[i]!;
    }
    sum = result;
    if (!rounds.end()) return result;
  }
}

/** What happens between two rounds; the last CPU to arrive does it for all. */
class Rounds {
  readonly #task: HostTask;
  readonly #owner: ProgramOwner;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #memory: PhysicalMemory;
  /** When the first round began. */
  readonly #startMs = hostClockMs();

  constructor(task: HostTask, owner: ProgramOwner) {
    this.#task = task;
    this.#owner = owner;
    this.#words = new Int32Array(task.control);
    this.#memory = new PhysicalMemory(task.spec.memory);
  }

  /** True: there is another round. */
  end(): boolean {
    const words = this.#words;
    const { activeCpus, machine } = this.#task.spec;
    const block = blockOf(controlLayout(machine.cpuCount), this.#task.cpu);
    Atomics.store(words, block + Block.State, State.Resting);
    const round = Atomics.load(words, Global.Round);
    if (Atomics.add(words, Global.RoundArrived, 1) + 1 === activeCpus.length) {
      this.#prepareNext();
      Atomics.store(words, Global.Round, (round + 1) | 0);
      Atomics.notify(words, Global.Round);
    }
    while (Atomics.load(words, Global.Round) === round) {
      if (Atomics.load(words, Global.Abort) !== Abort.None) {
        throw new InterruptedError('another thread ended the run');
      }
      Atomics.wait(words, Global.Round, round, REST_MS);
    }
    return Atomics.load(words, Global.RoundGo) === 1;
  }

  #prepareNext(): void {
    const { spec, events, accesses } = this.#task;
    const log = new EventLog(this.#words, events, {
      buffer: accesses,
      cpuCount: spec.machine.cpuCount,
    });
    this.#owner.finish?.(this.#memory, log, spec.image, spec.context);
    const { seconds, pristine } = spec.rounds!;
    this.#memory.zones.forEach((zone, node) => {
      zone.set(new Int32Array(pristine[node]!));
    });
    clearRound(this.#words, controlLayout(spec.machine.cpuCount));
    Atomics.store(this.#words, Global.RoundArrived, 0);
    const goOn = hostClockMs() - this.#startMs < seconds * 1000;
    Atomics.store(this.#words, Global.RoundGo, goOn ? 1 : 0);
  }
}

/** The first reason stays. */
export function raiseAbort(control: SharedArrayBuffer, cpuCount: number, reason: number): void {
  Atomics.compareExchange(new Int32Array(control), Global.Abort, Abort.None, reason);
  ringAll(control, cpuCount);
}

async function loadProgram({ spec }: HostTask): Promise<ProgramOwner> {
  const { module, exportName } = spec.program;
  const loaded = (await import(module)) as Record<string, unknown>;
  const exported = loaded[exportName];
  const owner = (typeof exported === 'function' ? await exported(spec.context) : exported) as
    | ProgramOwner
    | undefined;
  if (typeof owner?.program !== 'function') {
    throw new BugError(`${module} exports no '${exportName}' with a program`);
  }
  return owner;
}
