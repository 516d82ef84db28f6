/** Drives one home by hand: sends requests, serves, and keeps what the home answers. */

import { Home } from '../../../src/cache/home.ts';
import type { HomePort, Source } from '../../../src/cache/line-service.ts';
import type { LossKind, RequestKind } from '../../../src/cache/line-state.ts';
import type { Machine } from '../../../src/machine/machine.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

export interface SeenGrant {
  readonly cpu: number;
  readonly at: number;
  readonly state: number;
  readonly source: Source;
}

export interface SeenLoss {
  readonly cpu: number;
  readonly effect: number;
  readonly lo: number;
  readonly kind: LossKind;
  readonly wake: number;
}

/** Two nodes of four CPUs; the home is node 0's. */
export const NODES = 2;
export const CPUS = 8;
export const FAR_CPU = 4;
export const LINE = 0x1000;

export class HomeDriver implements HomePort {
  readonly machine: Machine;
  readonly home: Home;
  readonly grants: SeenGrant[] = [];
  readonly losses: SeenLoss[] = [];

  constructor(changes: Partial<Machine> = {}, seed = 1) {
    this.machine = { ...makeTestMachine({ cpuCount: CPUS, nodeCount: NODES }), ...changes };
    this.home = new Home(0, this.machine, seed, this);
  }

  grant(cpu: number, at: number, state: number, source: Source): void {
    this.grants.push({ cpu, at, state, source });
  }

  lose(cpu: number, effect: number, _hi: number, lo: number, kind: LossKind, wake: number): void {
    this.losses.push({ cpu, effect, lo, kind, wake });
  }

  /** `at`: arrival at the home. */
  ask(cpu: number, at: number, kind: RequestKind, hadCopy = false, lo = LINE, bytes = 0): void {
    this.home.request(cpu, at, 0, lo, kind, hadCopy, bytes);
  }

  writeBack(cpu: number, at: number, dirty = true, lo = LINE): void {
    this.home.writeBack(cpu, at, 0, lo, dirty);
  }

  /** Serves everything; returns the grants in order of service. */
  finish(): readonly SeenGrant[] {
    this.home.serve(Number.POSITIVE_INFINITY);
    return this.grants;
  }

  lossesOf(cpu: number): readonly SeenLoss[] {
    return this.losses.filter((loss) => loss.cpu === cpu);
  }
}
