/** Runs the built command line and takes its time: what a user waits for. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

/** Path of a workload of this folder, compiled. */
export function ownWorkload(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url));
}

export interface Timed {
  readonly seconds: number;
  readonly stdout: string;
}

export function timeRun(words: readonly string[]): Promise<Timed> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const child = spawn(process.execPath, [CLI, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0) return reject(new Error(`numalab ${words.join(' ')}: exit ${code}`));
      resolve({ seconds: (performance.now() - startMs) / 1000, stdout });
    });
  });
}
