/**
 * The DVM agent of one node in the naive engine: operations in order of arrival (Syncs after the
 * operations of the same instant), one at a time.
 */

import { hash32, seedHalves } from '../../src/base/random.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { type EventHeap, When } from './event-heap.ts';

export interface DvmOperation {
  readonly issuer: number;
  /** A Tlbi number, or 'sync'. */
  readonly operation: number | 'sync';
  readonly context: number;
  readonly hi: number;
  readonly lo: number;
  readonly pages: number;
}

export interface DvmListener {
  forward(node: number, time: number, operation: DvmOperation): void;
  /** All CPUs of the agent's node but the issuer. */
  apply(node: number, effect: number, operation: DvmOperation): void;
  acknowledge(issuer: number, time: number): void;
}

export class NaiveDvmAgent {
  readonly node: number;
  readonly #machine: Machine;
  readonly #seed: number;
  readonly #nodes: readonly number[];
  readonly #heap: EventHeap;
  readonly #listener: DvmListener;
  #free = 0;

  constructor(
    node: number,
    machine: Machine,
    seed: number,
    nodes: readonly number[],
    heap: EventHeap,
    listener: DvmListener,
  ) {
    this.node = node;
    this.#machine = machine;
    const [low, high] = seedHalves(seed);
    this.#seed = low ^ high ^ 0x44564d;
    this.#nodes = nodes;
    this.#heap = heap;
    this.#listener = listener;
  }

  /** `issued`: by a CPU of this node, to be told to the other agents. */
  arrive(time: number, operation: DvmOperation, issued: boolean): void {
    const rank = operation.operation === 'sync' ? 1 : 0;
    const hash = hash32(this.#seed, this.node, operation.issuer, time | 0);
    this.#heap.push(time, [When.Home, rank, hash, operation.issuer], () => {
      this.#serve(Math.max(time, this.#free), operation, issued);
    });
  }

  #serve(start: number, operation: DvmOperation, issued: boolean): void {
    const m = this.#machine;
    const hop = (node: number): number => m.hopPs[this.node * m.nodeCount + node]!;
    this.#free = start + m.dvmServicePs;
    if (issued) {
      for (const node of this.#nodes) {
        if (node !== this.node) this.#listener.forward(node, start + hop(node), operation);
      }
    }
    const effect = (Math.floor(start / m.gridPs) + 1) * m.gridPs;
    this.#listener.apply(this.node, effect, operation);
    if (operation.operation === 'sync') {
      const back = hop(m.nodeOfCpu[operation.issuer]!);
      this.#listener.acknowledge(operation.issuer, start + m.dvmAckPs + back);
    }
  }
}
