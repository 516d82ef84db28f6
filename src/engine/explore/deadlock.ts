/**
 * What to say when nobody can go on: what each CPU waits for, who holds the lock that it is after,
 * and the cycle among them. Locks are known by their events; the lock behind a wait is the one
 * whose memory is awaited, or (queue locks wait on words of their own) the one that the CPU last
 * updated.
 */

import { Condition } from '../../cpu/operations.ts';
import { nameAddress } from '../../memory/symbols.ts';
import { OPERATION_NAMES, Op } from './attempts.ts';
import type { ExploreCpu } from './explore-cpu.ts';
import type { Explorer } from './explorer.ts';
import type { Wait } from './observer.ts';
import type { ExploreFinding } from './result.ts';

export function deadlockFinding(explorer: Explorer): ExploreFinding {
  const waiting = explorer.cpus.filter((cpu) => !cpu.finished);
  const edges = new Map<number, number>();
  const lines = waiting.map((cpu) => describeWait(explorer, cpu, edges));
  const cycle = findCycle(edges);
  const about = waiting.find((cpu) => cpu.id === cycle?.[0]) ?? waiting[0]!;
  const chain = cycle === null ? '' : `; cycle: ${[...cycle, cycle[0]!].map(nameCpu).join(' -> ')}`;
  const others = waiting.map(({ id }) => id).filter((id) => id !== about.id);
  const sleeps = cycle === null && waiting.some((cpu) => cpu.op === Op.Idle);
  return {
    oracle: sleeps ? 'lost-wake-up' : 'deadlock',
    cpus: [about.id, ...others],
    text: `nobody can go on: ${lines.join('; ')}${chain}`,
    hi: explorer.hi[about.id]!,
    lo: explorer.lo[about.id]!,
  };
}

/** Who can't go on, as oracles are told. */
export function waitsOf(explorer: Explorer): Wait[] {
  return explorer.cpus
    .filter((cpu) => !cpu.finished)
    .map(({ id, op }) => ({
      cpu: id,
      idle: op === Op.Idle,
      hi: explorer.hi[id]!,
      lo: explorer.lo[id]!,
    }));
}

function nameCpu(id: number): string {
  return `CPU ${id}`;
}

function describeWait(explorer: Explorer, cpu: ExploreCpu, edges: Map<number, number>): string {
  const { id } = cpu;
  const held = heldBy(explorer, id);
  const suffix = held === '' ? '' : ` and holds ${held}`;
  if (cpu.op !== Op.Cond32) {
    const why = cpu.op === Op.Idle ? ' for a wake-up' : '';
    return `${nameCpu(id)} waits in ${OPERATION_NAMES[cpu.op]}${why}${suffix}`;
  }
  const name = nameAddress(explorer.setup.symbols, explorer.hi[id]!, explorer.lo[id]!);
  const value = explorer.memory.words[cpu.word]! >>> 0;
  const lock = lockBehind(explorer, cpu);
  let owner = '';
  if (lock >= 0) {
    const { holders } = explorer;
    const holder = holders.cpu[lock]!;
    edges.set(id, holder);
    const lockName = linearName(explorer, holders.hi[lock]!, holders.lo[lock]!);
    owner = ` (${lockName} is held by CPU ${holder})`;
  }
  const wanted = `${name} ${describeCondition(cpu)}`;
  return `${nameCpu(id)} waits for ${wanted}, it is ${value}${owner}${suffix}`;
}

function describeCondition(cpu: ExploreCpu): string {
  const mask = cpu.x1 === -1 ? '' : ` under mask 0x${(cpu.x1 >>> 0).toString(16)}`;
  const operand = cpu.x2 >>> 0;
  switch (cpu.x0) {
    case Condition.Equal:
      return `to be ${operand}${mask}`;
    case Condition.NotEqual:
      return `not to be ${operand}${mask}`;
    case Condition.AtLeastWrapping:
      return `to reach ${operand}${mask}`;
    case Condition.AnyBitClear:
      return `to have a clear bit${mask}`;
    default:
      return `to have a bit set${mask}`;
  }
}

/** Index among the locks held of the one that the CPU is after and another one holds; or -1. */
function lockBehind(explorer: Explorer, cpu: ExploreCpu): number {
  const { holders, memory } = explorer;
  let byUpdate = -1;
  for (let i = holders.count - 1; i >= 0; i--) {
    const word = memory.indexOf(holders.hi[i]! & 0xffff, holders.lo[i]!);
    if (word >>> 4 === cpu.word >>> 4) return i;
    if (word >>> 4 === cpu.lastUpdate >>> 4 && cpu.lastUpdate >= 0) byUpdate = i;
  }
  return byUpdate;
}

function heldBy(explorer: Explorer, id: number): string {
  const { holders } = explorer;
  const names: string[] = [];
  for (let i = 0; i < holders.count; i++) {
    if (holders.cpu[i] !== id) continue;
    const name = linearName(explorer, holders.hi[i]!, holders.lo[i]!);
    names.push(holders.shared[i] === 1 ? `${name} (read)` : name);
  }
  return names.join(', ');
}

function linearName(explorer: Explorer, hi: number, lo: number): string {
  return nameAddress(explorer.setup.symbols, hi & 0xffff, lo);
}

function findCycle(edges: ReadonlyMap<number, number>): number[] | null {
  for (const start of edges.keys()) {
    const path: number[] = [];
    let at: number | undefined = start;
    while (at !== undefined && !path.includes(at)) {
      path.push(at);
      at = edges.get(at);
    }
    if (at === start) return path;
  }
  return null;
}
