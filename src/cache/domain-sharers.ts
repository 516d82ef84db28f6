/**
 * What a home knows of the last-level domains of other nodes: which of them may have a line, when
 * they are sent one to keep, and when they have lost it. Domains are listed in the directory as
 * sharers behind the CPUs. The other side is domain-agent.ts.
 */

import type { LlcDomains } from '../machine/llc-domains.ts';
import type { Directory } from './directory.ts';
import type { HomeTiming } from './home-timing.ts';

/** How a home reaches the agents of the domains. */
export interface DomainPort {
  /** null: the machine has none. */
  readonly domains: LlcDomains | null;
  /** The domain may keep the line, which it has from `atPs` on. */
  fill(domain: number, atPs: number, paHi: number, paLo: number): void;
  /** The domain loses the line; `except`: the CPU that it is lost to, or -1. */
  snoop(domain: number, atPs: number, paHi: number, paLo: number, except: number): void;
}

export class DomainSharers {
  readonly #timing: HomeTiming;
  readonly #directory: Directory;
  readonly #port: DomainPort;
  readonly #domains: LlcDomains;

  constructor(timing: HomeTiming, directory: Directory, port: DomainPort) {
    this.#timing = timing;
    this.#directory = directory;
    this.#port = port;
    this.#domains = port.domains!;
  }

  /** The CPU's domain gets a line that the CPU shares; it is there when the line is free. */
  fill(record: number, cpu: number, atPs: number, paHi: number, paLo: number): void {
    const { machine, node } = this.#timing;
    if (machine.nodeOfCpu[cpu] === node) return;
    const domain = this.#domains.ofCpu[cpu]!;
    this.#directory.addSharer(record, machine.cpuCount + domain);
    this.#port.fill(domain, atPs, paHi, paLo);
  }

  /** A line that its owner wrote back stays in the owner's domain, which says when it has it. */
  keep(record: number, cpu: number, paHi: number, paLo: number, now: number): void {
    const directory = this.#directory;
    if (this.#timing.machine.nodeOfCpu[cpu] === this.#timing.node) return;
    const hop = this.#timing.hopToCpu(cpu);
    const free = Math.max(directory.freeExclusive(record), now + 2 * hop);
    directory.setFree(record, directory.freeShared(record), free);
    this.fill(record, cpu, now + hop, paHi, paLo);
  }

  /** The domain says that it has the line no more. */
  forget(record: number, domain: number): void {
    this.#directory.removeSharer(record, this.#timing.machine.cpuCount + domain);
  }

  /** Does the CPU's domain have the line? A CPU that the agent served is known to it only. */
  lists(record: number, cpu: number): boolean {
    const { cpuCount } = this.#timing.machine;
    return this.#directory.shares(record, cpuCount + this.#domains.ofCpu[cpu]!);
  }

  /**
   * Takes the line from a domain. Returns when its CPUs have lost it, too, for a grant of the agent
   * may be under way: within a last-level latency and an in-node answer. In the node of the CPU
   * that gets the line the answer goes to that CPU, not to the home.
   */
  snoop(domain: number, start: number, paHi: number, paLo: number, except: number): number {
    const { machine } = this.#timing;
    const node = this.#domains.nodeOf[domain]!;
    const hop = this.#timing.hop(node);
    this.#port.snoop(domain, start + hop, paHi, paLo, except);
    const gone = start + machine.llc.latencyPs + machine.lookaheadPs;
    return except >= 0 && machine.nodeOfCpu[except] === node ? gone : gone + 2 * hop;
  }
}
