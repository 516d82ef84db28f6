/**
 * DVM agent of a node: carries TLB and instruction-cache maintenance to the CPUs. One operation at
 * a time at the machine's rate; an operation goes to the issuer's own agent first, from there to
 * every other agent, and takes effect on the CPUs of each node on a grid boundary. A Sync (what
 * DSB sends) is an operation like the others; its acknowledgements are what the DSB waits for.
 * Since agents are FIFO, an acknowledged Sync means that every operation of the same CPU before it
 * has taken effect.
 *
 * The engine acknowledges, not the program: also for CPUs that are blocked, parked, masked or done.
 */

import { hash32, seedHalves } from '../base/random.ts';
import { EventQueue } from '../cache/event-queue.ts';
import type { Machine } from '../machine/machine.ts';

/** Operation number of a Sync; all others are Tlbi numbers. */
export const DVM_SYNC = 255;

/** How an agent reaches the CPUs of its node, other agents and the issuer. */
export interface DvmPort {
  /** Hands an operation to the agent of another node. */
  forward(
    node: number,
    atPs: number,
    issuer: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void;
  /** Every CPU of the agent's node but the issuer applies the operation at `effectPs`. */
  apply(
    node: number,
    effectPs: number,
    issuer: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void;
  /** One acknowledgement of a Sync counts for the issuer from `atPs`. */
  acknowledge(issuer: number, atPs: number): void;
}

const Kind = { Issued: 0, Forwarded: 1 } as const;

export class DvmAgent {
  readonly node: number;
  readonly queue: EventQueue;
  readonly #machine: Machine;
  readonly #port: DvmPort;
  readonly #seed: number;
  /** Nodes that have CPUs in this run. */
  readonly #nodes: readonly number[];
  #freePs = 0;

  constructor(
    node: number,
    machine: Machine,
    seed: number,
    nodes: readonly number[],
    port: DvmPort,
    queue = new EventQueue(),
  ) {
    this.node = node;
    this.queue = queue;
    queue.breakTiesBy((message) => {
      const time = queue.time[message]! | 0;
      return hash32(this.#seed, node, queue.cpu[message]!, time);
    });
    this.#machine = machine;
    this.#port = port;
    this.#nodes = nodes;
    const [low, high] = seedHalves(seed);
    this.#seed = low ^ high ^ 0x44564d;
  }

  /** An operation of one of this node's CPUs arrives. */
  issue(
    cpu: number,
    atPs: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    this.#enqueue(Kind.Issued, cpu, atPs, operation, context, hi, lo, pages);
  }

  /** An operation that another agent forwarded arrives. */
  receive(
    cpu: number,
    atPs: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    this.#enqueue(Kind.Forwarded, cpu, atPs, operation, context, hi, lo, pages);
  }

  serve(untilPs: number): void {
    const { queue } = this;
    const m = this.#machine;
    while (queue.earliest() < untilPs) {
      const message = queue.pop();
      const start = Math.max(queue.time[message]!, this.#freePs);
      this.#freePs = start + m.dvmServicePs;
      const cpu = queue.cpu[message]!;
      const operation = queue.a[message]!;
      const context = queue.b[message]!;
      const pages = queue.c[message]!;
      const hi = queue.hi[message]!;
      const lo = queue.lo[message]!;
      if (queue.kind[message] === Kind.Issued) {
        for (const node of this.#nodes) {
          if (node === this.node) continue;
          const hop = m.hopPs[this.node * m.nodeCount + node]!;
          this.#port.forward(node, start + hop, cpu, operation, context, hi, lo, pages);
        }
      }
      const effect = (Math.floor(start / m.gridPs) + 1) * m.gridPs;
      this.#port.apply(this.node, effect, cpu, operation, context, hi, lo, pages);
      if (operation === DVM_SYNC) {
        const back = m.hopPs[this.node * m.nodeCount + m.nodeOfCpu[cpu]!]!;
        this.#port.acknowledge(cpu, start + m.dvmAckPs + back);
      }
      queue.release(message);
    }
  }

  #enqueue(
    kind: number,
    cpu: number,
    atPs: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    const { queue } = this;
    const message = queue.allocate();
    queue.kind[message] = kind;
    // A DSB right behind a TLBI leaves at the same instant: its Sync must not overtake (ER-D9).
    queue.rank[message] = operation === DVM_SYNC ? 1 : 0;
    queue.cpu[message] = cpu;
    queue.hi[message] = hi;
    queue.lo[message] = lo;
    queue.a[message] = operation;
    queue.b[message] = context;
    queue.c[message] = pages;
    queue.time[message] = atPs;
    queue.hashed[message] = 0;
    queue.push(message);
  }
}
