/**
 * The clocks of a home agent: ports of its slices, memory channel, outgoing links, and the times
 * that the machine gives for ways and transfers. Every resource is a "free at" time, taken in
 * order of service; they delay grants, never losses (ER-D14, ER-D15).
 */

import { hash32, seedHalves } from '../base/random.ts';
import type { Machine } from '../machine/machine.ts';
import { lineOf } from '../memory/physical-address.ts';

export class HomeTiming {
  readonly node: number;
  readonly machine: Machine;
  /** Effect and wake-up time of the snoop computed last. */
  effectPs = 0;
  wakePs = 0;
  readonly #seed: number;
  readonly #portFree: Float64Array;
  readonly #linkFree: Float64Array;
  #channelFree = 0;

  constructor(node: number, machine: Machine, seed: number) {
    this.node = node;
    this.machine = machine;
    this.#seed = seedHalves(seed)[0];
    this.#portFree = new Float64Array(machine.homeSlices);
    this.#linkFree = new Float64Array(machine.nodeCount);
  }

  /** One way between this home and a node. */
  hop(node: number): number {
    return this.machine.hopPs[this.node * this.machine.nodeCount + node]!;
  }

  hopToCpu(cpu: number): number {
    return this.hop(this.machine.nodeOfCpu[cpu]!);
  }

  /** Cache-to-cache transfer without the ways between nodes, by closeness. */
  transferPs(owner: number, cpu: number): number {
    const m = this.machine;
    if (m.nodeOfCpu[owner] !== m.nodeOfCpu[cpu]) return m.transferNodePs;
    if (m.clusterOfCpu[owner] === m.clusterOfCpu[cpu]) return m.transferClusterPs;
    return m.dieOfCpu[owner] === m.dieOfCpu[cpu] ? m.transferDiePs : m.transferNodePs;
  }

  /** Service start of a request: takes the port of the line's slice. */
  takePort(line: number, now: number): number {
    const slice = (line >>> 0) % this.machine.homeSlices;
    const start = Math.max(now, this.#portFree[slice]!);
    this.#portFree[slice] = start + this.machine.homeServicePs;
    return start;
  }

  /** Snoops sent for a request hold its port on; returns how long the fan-out takes. */
  fanOut(line: number, snoops: number): number {
    const slice = (line >>> 0) % this.machine.homeSlices;
    const time = snoops * this.machine.snoopPs;
    this.#portFree[slice] = this.#portFree[slice]! + time;
    return time;
  }

  /** Takes channel time for lines; returns when the channel takes them up. */
  takeChannel(start: number, lines: number): number {
    const from = Math.max(this.#channelFree, start);
    this.#channelFree = from + lines * this.machine.channelPsPerLine[this.node]!;
    return from;
  }

  get channelFreePs(): number {
    return this.#channelFree;
  }

  /** One line over the link to another node: returns when it may leave. */
  takeLink(node: number, atPs: number): number {
    if (node === this.node) return atPs;
    const leaves = Math.max(atPs, this.#linkFree[node]!);
    const m = this.machine;
    this.#linkFree[node] = leaves + m.linkPsPerLine[this.node * m.nodeCount + node]!;
    return leaves;
  }

  /**
   * A snoop to a CPU, sent at `start` as number `place` of its fan-out: sets `effectPs`, a grid
   * boundary after the service (ER-T8), and `wakePs`, with the snoop's own way and place (ER-W7).
   */
  snoop(cpu: number, start: number, paHi: number, paLo: number, place: number): void {
    const m = this.machine;
    const grid = m.gridPs;
    const hop = this.hopToCpu(cpu);
    const arrival = start + hop;
    const next = (Math.floor(start / grid) + 1) * grid;
    this.effectPs = hop < grid ? next : Math.max(Math.floor(arrival / grid) * grid, next);
    const spread = hash32(this.#seed, cpu, lineOf(paHi, paLo), start | 0) >>> 0;
    this.wakePs =
      Math.max(this.effectPs, arrival + place * m.snoopPs) +
      m.wakePs +
      Math.floor((spread * m.wakeSpreadPs) / 0x1_0000_0000);
  }
}
