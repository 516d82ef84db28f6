/**
 * What the main thread asks of a worker thread, and what comes back: plain data and shared buffers.
 * Errors come back as data too, because structured cloning would drop their class.
 */

import type { MessagePort } from 'node:worker_threads';
import type { Image, WorkloadContext } from '../../workloads/workload.ts';
import type { ErrorData } from '../base/errors.ts';
import type { EngineSpec, WorkerResult } from '../engine/virtual/spec.ts';
import type { ScannedTrace } from '../trace/scanned-trace.ts';
import type { BootedMachine } from './boot.ts';

/** Where a worker finds the workload: a name of the registry, or the URL of a module. */
export interface WorkloadReference {
  readonly name: string;
  /** file: URL of a user's own module; '' = in the registry. */
  readonly url: string;
  /** Parts of a profile, each a workload on CPUs of its own; empty for a single workload. */
  readonly parts: readonly ProfilePart[];
  /** Of a profile: basic blocks of kernel text that every entry to the kernel executes. */
  readonly blocksPerEntry?: number;
  /** A lock from a user's file, for workloads with `lock=`. */
  readonly lock?: UserLockReference;
  /** A trace that has been scanned, for workloads with `input=`. */
  readonly trace?: ScannedTrace;
}

/** Enough for worker threads to find the same lock again. */
export interface UserLockReference {
  /** As the user wrote it: what errors name. */
  readonly file: string;
  readonly url: string;
  /** Of the contents. */
  readonly sha256: string;
  readonly name: string;
}

export interface ProfilePart {
  readonly label: string;
  readonly workload: WorkloadReference;
  readonly context: WorkloadContext;
  /** Booted like the others, so that their memory is where it was, and not run (--isolate). */
  readonly off: boolean;
}

/** Builds memory, tables and the workload's objects before emulated time 0. */
export interface BootTask {
  readonly kind: 'boot';
  readonly workload: WorkloadReference;
  readonly context: WorkloadContext;
}

/** Runs one worker's share of one seed to its end. */
export interface EngineTask {
  readonly kind: 'engine';
  readonly workload: WorkloadReference;
  readonly context: WorkloadContext;
  readonly image: Image;
  readonly spec: EngineSpec;
  readonly worker: number;
  readonly seedIndex: number;
  /** Carries RunObserver calls to the main thread; null = nobody watches. */
  readonly port: MessagePort | null;
}

export type Task = BootTask | EngineTask;

export type Reply<Value> = { readonly value: Value } | { readonly error: ErrorData };

/** What workers call on the main thread while they run. */
export interface RunObserver {
  progress(
    seedIndex: number,
    worker: number,
    emulatedPs: number,
    operations: number,
    accesses: number,
  ): void;
}

export type BootReply = Reply<BootedMachine>;
export type EngineReply = Reply<WorkerResult>;
