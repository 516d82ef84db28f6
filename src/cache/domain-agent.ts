/**
 * The agent of a domain's last-level cache (machine/llc-domains.ts): asked first for every read and
 * fetch of a line that another node is home of. What it has it hands out itself, shared; all else
 * it passes on to the home, which sends it what it may keep.
 *
 * The home lists the agent as a sharer before it sends a line, and a line is free for exclusive
 * requests only when that line must have arrived; so a snoop finds whatever the agent has. To CPUs
 * that the home does not know of, because the agent served them, the agent passes the snoop on.
 *
 * After Intel's caching agents (CHA of Skylake-SP) and EPYC's L3 of a core complex. Deviations:
 * lines are kept clean and shared only; a CPU that owns a line is found by the home, not by the
 * agent next to it; the agent's capacity is beside that of the node's own lines, not a part of it;
 * what left the tags stays known as long as a CPU may have it (no back-invalidation).
 */

import { hash32, seedHalves } from '../base/random.ts';
import type { LlcDomains } from '../machine/llc-domains.ts';
import type { Machine } from '../machine/machine.ts';
import { lineOf, nodeOf } from '../memory/physical-address.ts';
import { Directory } from './directory.ts';
import { DomainCache } from './domain-cache.ts';
import { EventQueue } from './event-queue.ts';
import { type HomePort, Source } from './line-service.ts';
import { LineState, LossKind, type RequestKind } from './line-state.ts';

/** How an agent reaches CPUs (HomePort) and homes. */
export interface AgentPort extends Pick<HomePort, 'grant' | 'lose'> {
  /** A request that the agent could not answer goes to its home. */
  passOn(
    cpu: number,
    home: number,
    atPs: number,
    paHi: number,
    paLo: number,
    kind: RequestKind,
  ): void;
  /** The line has left the agent, and none of its CPUs has it from there. */
  leave(domain: number, home: number, atPs: number, paHi: number, paLo: number): void;
}

/** Kinds of message, also the rank of messages of one time. */
const Message = { Fill: 0, Snoop: 1, Lookup: 2, Request: 3 } as const;

export class DomainAgent {
  readonly domain: number;
  readonly node: number;
  readonly queue: EventQueue;
  readonly #machine: Machine;
  readonly #port: AgentPort;
  readonly #tags: DomainCache;
  /** By home: CPUs that this agent gave a line to, and when the last of them has it. */
  readonly #served: Directory[];
  readonly #portFree: Float64Array;
  readonly #seedLow: number;
  readonly #seedHigh: number;
  #now = 0;

  constructor(
    domain: number,
    domains: LlcDomains,
    machine: Machine,
    seed: number,
    port: AgentPort,
    queue = new EventQueue(),
  ) {
    this.domain = domain;
    this.node = domains.nodeOf[domain]!;
    this.queue = queue;
    queue.breakTiesBy((message) => this.#tieHash(message));
    [this.#seedLow, this.#seedHigh] = seedHalves(seed);
    this.#machine = machine;
    this.#port = port;
    this.#tags = new DomainCache(domains.cache);
    this.#portFree = new Float64Array(domains.slices);
    this.#served = Array.from({ length: machine.nodeCount }, () => {
      return new Directory(machine.cpuCount, 16);
    });
  }

  /** A CPU of the domain asks for a line of another node. */
  request(cpu: number, atPs: number, paHi: number, paLo: number, kind: RequestKind): void {
    this.#enqueue(Message.Request, cpu, atPs, paHi, paLo, kind);
  }

  /** The home lets the domain keep the line. */
  fill(atPs: number, paHi: number, paLo: number): void {
    this.#enqueue(Message.Fill, nodeOf(paHi), atPs, paHi, paLo, 0);
  }

  /** The domain loses the line; `except`: the CPU that gets it, or -1. */
  snoop(atPs: number, paHi: number, paLo: number, except: number): void {
    this.#enqueue(Message.Snoop, nodeOf(paHi), atPs, paHi, paLo, except);
  }

  #enqueue(
    kind: number,
    cpu: number,
    atPs: number,
    paHi: number,
    paLo: number,
    operand: number,
  ): void {
    const { queue } = this;
    const message = queue.allocate();
    queue.kind[message] = kind;
    queue.rank[message] = kind;
    queue.cpu[message] = cpu;
    queue.hi[message] = paHi;
    queue.lo[message] = paLo;
    queue.a[message] = operand;
    queue.time[message] = atPs;
    queue.hashed[message] = 0;
    queue.push(message);
  }

  #tieHash(message: number): number {
    const { queue } = this;
    const line = lineOf(queue.hi[message]!, queue.lo[message]!);
    const time = (queue.time[message]! | 0) ^ this.#seedHigh;
    return hash32(this.#seedLow ^ 0x4c4c43 ^ this.domain, line, queue.cpu[message]!, time);
  }

  /** Serves everything that is due before `untilPs`. */
  serve(untilPs: number): void {
    const { queue } = this;
    while (queue.earliest() < untilPs) {
      const message = queue.pop();
      this.#now = queue.time[message]!;
      const hi = queue.hi[message]!;
      const lo = queue.lo[message]!;
      switch (queue.kind[message]) {
        case Message.Fill:
          this.#fill(nodeOf(hi), lineOf(hi, lo));
          break;
        case Message.Snoop:
          this.#lose(hi, lo, queue.a[message]!);
          break;
        case Message.Request:
          if (this.#queued(message)) continue;
          this.#lookUp(message);
          break;
        default:
          this.#lookUp(message);
      }
      queue.release(message);
    }
  }

  /** Takes the port of the line's slice; true: the request is looked up when its turn comes. */
  #queued(message: number): boolean {
    const { queue } = this;
    const line = lineOf(queue.hi[message]!, queue.lo[message]!);
    const slice = (line >>> 0) % this.#portFree.length;
    const start = Math.max(this.#now, this.#portFree[slice]!);
    this.#portFree[slice] = start + this.#machine.homeServicePs;
    if (start === this.#now) return false;
    queue.kind[message] = Message.Lookup;
    queue.rank[message] = Message.Lookup;
    queue.time[message] = start;
    queue.hashed[message] = 0;
    queue.push(message);
    return true;
  }

  #lookUp(message: number): void {
    const { queue } = this;
    const m = this.#machine;
    const hi = queue.hi[message]!;
    const lo = queue.lo[message]!;
    const cpu = queue.cpu[message]!;
    const home = nodeOf(hi);
    const line = lineOf(hi, lo);
    if (!this.#tags.has(home, line)) {
      const arrival = this.#now + m.hopPs[this.node * m.nodeCount + home]!;
      this.#port.passOn(cpu, home, arrival, hi, lo, queue.a[message]! as RequestKind);
      return;
    }
    const served = this.#served[home]!;
    let record = served.find(line);
    if (record < 0) record = served.create(line);
    const grant = this.#now + m.llc.latencyPs;
    served.addSharer(record, cpu);
    served.setFree(record, grant, grant);
    this.#port.grant(cpu, grant, LineState.Shared, Source.Domain, this.node);
  }

  #fill(home: number, line: number): void {
    const m = this.#machine;
    this.#tags.fill(home, line);
    const { victimHome, victimLine } = this.#tags;
    if (victimHome < 0 || this.#served[victimHome]!.find(victimLine) >= 0) return;
    const arrival = this.#now + m.hopPs[this.node * m.nodeCount + victimHome]!;
    const hi = (victimHome << 6) | (victimLine >>> 26);
    this.#port.leave(this.domain, victimHome, arrival, hi, victimLine << 6);
  }

  /**
   * Every copy that came from here goes, on the boundary after the snoop and after the last grant.
   * The home waits for that (LineService): last-level latency and an in-node answer.
   */
  #lose(hi: number, lo: number, except: number): void {
    const m = this.#machine;
    const home = nodeOf(hi);
    const line = lineOf(hi, lo);
    this.#tags.remove(home, line);
    const served = this.#served[home]!;
    const record = served.find(line);
    if (record < 0) return;
    const last = Math.max(this.#now, served.freeShared(record));
    const effect = (Math.floor(last / m.gridPs) + 1) * m.gridPs;
    let place = 0;
    for (let word = 0; word < served.sharerWords; word++) {
      let mask = served.sharers(record, word);
      while (mask !== 0) {
        const cpu = word * 32 + 31 - Math.clz32(mask & -mask);
        mask &= mask - 1;
        if (cpu === except) continue;
        const random = hash32(this.#seedLow, cpu, line, this.#now | 0) >>> 0;
        const spread = Math.floor((random * m.wakeSpreadPs) / 0x1_0000_0000);
        const wake = Math.max(effect, this.#now + place * m.snoopPs) + m.wakePs + spread;
        this.#port.lose(cpu, effect, hi, lo, LossKind.Invalidate, wake);
        place++;
      }
    }
    served.drop(record);
  }
}
