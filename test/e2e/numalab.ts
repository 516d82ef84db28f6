/** Runs the built command line as a user would. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Another build can be tested by naming it: NUMALAB_DIST=/somewhere/dist. */
const DIST = process.env['NUMALAB_DIST'] ?? fileURLToPath(new URL('../../dist', import.meta.url));

export const CLI = `${DIST}/src/cli.js`;

/** Path of a made-up workload, compiled. */
export function fixture(name: string): string {
  return `${DIST}/test/e2e/fixtures/${name}.js`;
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface Options {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Sends SIGINT so long after the start. */
  readonly interruptAfterMs?: number;
}

const TIMEOUT_MS = 50_000;

export function numalab(words: readonly string[], options: Options = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(process.execPath, [CLI, ...words], {
      cwd: options.cwd,
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    if (options.interruptAfterMs !== undefined) {
      setTimeout(() => child.kill('SIGINT'), options.interruptAfterMs);
    }
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, stdout, stderr, ms: performance.now() - started });
    });
  });
}
