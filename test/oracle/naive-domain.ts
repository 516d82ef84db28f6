/**
 * The agent of one last-level domain of the naive engine, from the rules in
 * src/engine/virtual/README.md (2a): what it keeps is a list of slots per set, whom it served a set
 * of CPUs per line.
 */

import { hash32, seedHalves } from '../../src/base/random.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { type EventHeap, When } from './event-heap.ts';
import { LINE_BYTES, Mesi } from './naive-cache.ts';
import { type HomeListener, lineNumber, type Request } from './naive-messages.ts';

export interface NaiveDomains {
  readonly ofCpu: readonly number[];
  readonly nodeOf: readonly number[];
  readonly sets: number;
  readonly slices: number;
}

/** Clusters of several CPUs, else dies, each cut at the ends of nodes; null: no domains. */
export function domainsOf(machine: Machine): NaiveDomains | null {
  const { llc, nodeCount, nodeOfCpu, clusterOfCpu, dieOfCpu } = machine;
  if (machine.llcPlacement !== 'requester' || nodeCount < 2 || llc.sets === 0) return null;
  const cpus = [...nodeOfCpu.keys()];
  const clusters = cpus.some((a) => cpus.some((b) => a < b && clusterOfCpu[a] === clusterOfCpu[b]));
  const names: string[] = [];
  const ofCpu = cpus.map((cpu) => {
    const name = `${nodeOfCpu[cpu]} ${clusters ? clusterOfCpu[cpu] : dieOfCpu[cpu]}`;
    if (!names.includes(name)) names.push(name);
    return names.indexOf(name);
  });
  const nodeOf = names.map((name) => Number(name.split(' ')[0]));
  const most = Math.max(...nodeOf.map((node) => nodeOf.filter((n) => n === node).length));
  const slices = Math.max(1, Math.floor(machine.homeSlices / most));
  return { ofCpu, nodeOf, sets: Math.floor(llc.sets / most), slices };
}

/** What an agent has to say to CPUs and homes. */
export interface DomainListener extends Pick<HomeListener, 'granted' | 'loses'> {
  toHome(time: number, request: Request): void;
  leaves(time: number, domain: number, line: number): void;
}

const Rank = { Fill: 0, Snoop: 1, Turn: 2, Request: 3 } as const;

export class NaiveDomain {
  readonly #domain: number;
  readonly #node: number;
  readonly #slices: number;
  readonly #machine: Machine;
  readonly #heap: EventHeap;
  readonly #listener: DomainListener;
  readonly #seed: readonly [number, number];
  readonly #slots: (number | null)[][];
  readonly #next: number[];
  readonly #served = new Map<number, Set<number>>();
  readonly #lastGrant = new Map<number, number>();
  readonly #portFree = new Map<number, number>();

  constructor(
    domain: number,
    machine: Machine,
    seed: number,
    heap: EventHeap,
    listener: DomainListener,
  ) {
    const { nodeOf, sets, slices } = domainsOf(machine)!;
    this.#domain = domain;
    this.#node = nodeOf[domain]!;
    this.#slices = slices;
    this.#machine = machine;
    this.#heap = heap;
    this.#listener = listener;
    this.#seed = seedHalves(seed);
    this.#slots = Array.from({ length: sets }, () => Array(machine.llc.ways).fill(null));
    this.#next = Array(sets).fill(0);
  }

  request(time: number, request: Request): void {
    this.#at(time, Rank.Request, request.cpu, request.line, () => {
      const slice = (lineNumber(request.line) >>> 0) % this.#slices;
      const start = Math.max(time, this.#portFree.get(slice) ?? 0);
      this.#portFree.set(slice, start + this.#machine.homeServicePs);
      if (start === time) this.#lookUp(start, request);
      else
        this.#at(start, Rank.Turn, request.cpu, request.line, () => this.#lookUp(start, request));
    });
  }

  #lookUp(time: number, request: Request): void {
    const { cpu, line } = request;
    if (!this.#setOf(line).includes(line)) {
      const arrival = time + this.#hopTo(line);
      this.#listener.toHome(arrival, { ...request, hadCopy: false });
      return;
    }
    const there = time + this.#machine.llc.latencyPs;
    const served = this.#served.get(line) ?? new Set();
    this.#served.set(line, served.add(cpu));
    this.#lastGrant.set(line, there);
    const fromNode = this.#node;
    this.#listener.granted(cpu, { time: there, state: Mesi.Shared, origin: 'domain', fromNode });
  }

  gets(time: number, line: number): void {
    this.#at(time, Rank.Fill, homeOf(line), line, () => {
      const slots = this.#setOf(line);
      if (slots.includes(line)) return;
      const set = this.#slots.indexOf(slots);
      const at = this.#next[set]!;
      this.#next[set] = (at + 1) % slots.length;
      const victim = slots[at]!;
      slots[at] = line;
      if (victim === null || this.#served.has(victim)) return;
      this.#listener.leaves(time + this.#hopTo(victim), this.#domain, victim);
    });
  }

  loses(time: number, line: number, except: number): void {
    this.#at(time, Rank.Snoop, homeOf(line), line, () => {
      const m = this.#machine;
      const slots = this.#setOf(line);
      if (slots.includes(line)) slots[slots.indexOf(line)] = null;
      const last = Math.max(time, this.#lastGrant.get(line) ?? 0);
      const effect = (Math.floor(last / m.gridPs) + 1) * m.gridPs;
      const victims = [...(this.#served.get(line) ?? [])].filter((cpu) => cpu !== except);
      victims.sort((a, b) => a - b);
      victims.forEach((cpu, place) => {
        const random = hash32(this.#seed[0], cpu, lineNumber(line), time | 0) >>> 0;
        const spread = Math.floor((random * m.wakeSpreadPs) / 2 ** 32);
        const wake = Math.max(effect, time + place * m.snoopPs) + m.wakePs + spread;
        this.#listener.loses(cpu, effect, line, 'invalidate', wake);
      });
      this.#served.delete(line);
    });
  }

  #at(time: number, rank: number, who: number, line: number, act: () => void): void {
    const [low, high] = this.#seed;
    const number = lineNumber(line);
    const hash = hash32(low ^ 0x4c4c43 ^ this.#domain, number, who, (time | 0) ^ high);
    this.#heap.push(time, [When.Home, rank, hash, who, number], act);
  }

  #setOf(line: number): (number | null)[] {
    return this.#slots[((line / LINE_BYTES) % 2 ** 32) % this.#slots.length]!;
  }

  #hopTo(line: number): number {
    return this.#machine.hopPs[this.#node * this.#machine.nodeCount + homeOf(line)]!;
  }
}

function homeOf(line: number): number {
  return Math.floor(line / 2 ** 38);
}
