/**
 * The roads to the agents of last-level domains (cache/domain-agent.ts) of one worker: from CPUs
 * and homes to agents, and from agents to homes. An agent is run where its node's home is run.
 * `domains` is null on machines without such agents: nothing here is then used.
 */

import type { AgentPort, DomainAgent } from '../../cache/domain-agent.ts';
import type { DomainPort } from '../../cache/domain-sharers.ts';
import type { RequestKind } from '../../cache/line-state.ts';
import { type LlcDomains, llcDomains } from '../../machine/llc-domains.ts';
import { MessageKind } from './mailbox.ts';
import type { Roads } from './roads.ts';

export class DomainRoads implements AgentPort, DomainPort {
  readonly domains: LlcDomains | null;
  readonly #roads: Roads;
  readonly #agents: (DomainAgent | null)[];

  constructor(roads: Roads) {
    this.#roads = roads;
    this.domains = llcDomains(roads.spec.machine);
    this.#agents = new Array(this.domains?.count ?? 0).fill(null);
  }

  add(agent: DomainAgent): void {
    this.#agents[agent.domain] = agent;
  }

  agent(domain: number): DomainAgent {
    return this.#agents[domain]!;
  }

  #send(
    node: number,
    kind: MessageKind,
    atPs: number,
    target: number,
    cpu: number,
    hi: number,
    lo: number,
    a: number,
  ): void {
    const roads = this.#roads;
    const worker = roads.spec.workerOfNode[node]!;
    roads.outbox.send(worker, kind, atPs, target, cpu, hi, lo, a, 0, 0);
  }

  // ---- from CPUs ------------------------------------------------------------------------------

  request(
    cpu: number,
    domain: number,
    atPs: number,
    paHi: number,
    paLo: number,
    kind: RequestKind,
  ): void {
    this.#roads.messageSent();
    const agent = this.#agents[domain];
    if (agent != null) agent.request(cpu, atPs, paHi, paLo, kind);
    else {
      const node = this.domains!.nodeOf[domain]!;
      this.#send(node, MessageKind.DomainRequest, atPs, domain, cpu, paHi, paLo, kind);
    }
  }

  // ---- DomainPort: from homes -----------------------------------------------------------------

  fill(domain: number, atPs: number, paHi: number, paLo: number): void {
    const agent = this.#agents[domain];
    if (agent != null) agent.fill(atPs, paHi, paLo);
    else {
      const node = this.domains!.nodeOf[domain]!;
      this.#send(node, MessageKind.DomainFill, atPs, domain, 0, paHi, paLo, 0);
    }
  }

  snoop(domain: number, atPs: number, paHi: number, paLo: number, except: number): void {
    const agent = this.#agents[domain];
    if (agent != null) agent.snoop(atPs, paHi, paLo, except);
    else {
      const node = this.domains!.nodeOf[domain]!;
      this.#send(node, MessageKind.DomainSnoop, atPs, domain, 0, paHi, paLo, except);
    }
  }

  // ---- AgentPort: from agents -----------------------------------------------------------------

  grant(...answer: Parameters<Roads['grant']>): void {
    this.#roads.grant(...answer);
  }

  lose(...loss: Parameters<Roads['lose']>): void {
    this.#roads.lose(...loss);
  }

  passOn(
    cpu: number,
    home: number,
    atPs: number,
    paHi: number,
    paLo: number,
    kind: RequestKind,
  ): void {
    const here = this.#roads.home(home);
    if (here != null) here.request(cpu, atPs, paHi, paLo, kind, false, 0);
    else this.#send(home, MessageKind.Request, atPs, home, cpu, paHi, paLo, kind);
  }

  leave(domain: number, home: number, atPs: number, paHi: number, paLo: number): void {
    const here = this.#roads.home(home);
    if (here != null) here.domainLeaves(domain, atPs, paHi, paLo);
    else this.#send(home, MessageKind.DomainLeave, atPs, home, 0, paHi, paLo, domain);
  }
}
