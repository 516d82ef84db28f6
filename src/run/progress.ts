/**
 * Live progress of a run on stderr: operations done, rate, emulated time, time left. Workers call
 * in over Comlink; the last figures of each are kept and drawn on a timer. On a terminal one line
 * is redrawn, elsewhere a plain line every ten seconds, and nothing with --quiet. The wall clock is
 * used here and nowhere in the model.
 */

import { formatPs, threeDigits } from '../base/units.ts';

export interface ProgressSink {
  readonly isTerminal: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** Expected operations of one seed; 0 = unknown. */
export interface ProgressPlan {
  readonly seeds: number;
  readonly operationsPerSeed: number;
}

const TERMINAL_INTERVAL_MS = 200;
const PLAIN_INTERVAL_MS = 10_000;

interface Share {
  emulatedPs: number;
  operations: number;
}

export class Progress {
  readonly #sink: ProgressSink | null;
  readonly #plan: ProgressPlan;
  readonly #now: () => number;
  readonly #startMs: number;
  /** By "seed/worker". */
  readonly #shares = new Map<string, Share>();
  readonly #finished = new Set<number>();
  #timer: NodeJS.Timeout | null = null;
  #drawn = false;

  /** `sink` null: nothing is printed, figures are kept for whoever asks. */
  constructor(plan: ProgressPlan, sink: ProgressSink | null, now = () => performance.now()) {
    this.#plan = plan;
    this.#sink = sink;
    this.#now = now;
    this.#startMs = now();
    if (sink === null) return;
    const interval = sink.isTerminal ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS;
    this.#timer = setInterval(() => this.#draw(), interval);
    this.#timer.unref();
  }

  progress(seedIndex: number, worker: number, emulatedPs: number, operations: number): void {
    this.#shares.set(`${seedIndex}/${worker}`, { emulatedPs, operations });
  }

  seedFinished(seedIndex: number): void {
    this.#finished.add(seedIndex);
  }

  /** Share of one seed's expected operations that is done; null = unknown. */
  fractionOf(seedIndex: number): number | null {
    const { operationsPerSeed } = this.#plan;
    if (operationsPerSeed === 0) return null;
    return Math.min(1, this.#operationsOf(seedIndex) / operationsPerSeed);
  }

  /** The line as it stands. */
  line(): string {
    const { seeds, operationsPerSeed } = this.#plan;
    const seconds = Math.max(0.001, (this.#now() - this.#startMs) / 1000);
    let operations = 0;
    let emulatedPs = 0;
    for (const share of this.#shares.values()) {
      operations += share.operations;
      emulatedPs = Math.max(emulatedPs, share.emulatedPs);
    }
    const parts: string[] = [];
    if (seeds > 1) parts.push(`${this.#finished.size}/${seeds} seeds`);
    if (emulatedPs > 0) parts.push(`${formatPs(emulatedPs)} emulated`);
    parts.push(`${formatCount(operations)} operations`, `${formatCount(operations / seconds)}/s`);
    const done = this.#fraction(operations);
    if (operationsPerSeed > 0) parts.unshift(`${Math.floor(done * 100)} %`);
    if (done > 0.01) parts.push(`${formatSeconds((seconds / done) * (1 - done))} left`);
    else parts.push(`${formatSeconds(seconds)} so far`);
    return parts.join(', ');
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    if (this.#drawn && this.#sink?.isTerminal === true) this.#sink.write('\r\x1b[K');
    this.#drawn = false;
  }

  #fraction(operations: number): number {
    const { seeds, operationsPerSeed } = this.#plan;
    if (operationsPerSeed > 0) return Math.min(1, operations / (operationsPerSeed * seeds));
    return this.#finished.size / seeds;
  }

  #operationsOf(seedIndex: number): number {
    let operations = 0;
    for (const [key, share] of this.#shares) {
      if (key.startsWith(`${seedIndex}/`)) operations += share.operations;
    }
    return operations;
  }

  #draw(): void {
    const sink = this.#sink!;
    if (!sink.isTerminal) sink.write(`${this.line()}\n`);
    else sink.write(`\r${this.line().slice(0, Math.max(20, sink.columns - 1))}\x1b[K`);
    this.#drawn = true;
  }
}

/** 1234567 -> "1.23 M". */
export function formatCount(value: number): string {
  if (value >= 1e9) return `${threeDigits(value / 1e9)} G`;
  if (value >= 1e6) return `${threeDigits(value / 1e6)} M`;
  if (value >= 1e3) return `${threeDigits(value / 1e3)} k`;
  return value >= 10 || Number.isInteger(value) ? value.toFixed(0) : threeDigits(value);
}

export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
