/**
 * Kernel text under workloads that know nothing of it: whenever a CPU enters the kernel, by an
 * exception or an interrupt, it executes a stretch of kernel text before the handler's own program.
 * Handlers are programs over memory operations; their instructions are charged as path lengths
 * (costs.ts), so only what the fetches miss is new time.
 */

import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { Metric } from '../../metrics/definition.ts';
import { CodePath, executeCode } from '../code/execute.ts';
import type { CodeImage } from '../code/image.ts';
import { executeMeasured } from './fetch.ts';

export interface EntryText {
  readonly code: CodeImage;
  /** Stream of the CPU that branches are drawn from. */
  readonly stream: number;
  /** Basic blocks per entry. */
  readonly blocks: number;
  /** What a private hit takes at most (fetchHitPs). */
  readonly hitPs: number;
}

/** Handlers that are installed from here on run kernel text first. Once per CPU. */
export function executeTextOnEntry(cpu: Cpu, text: EntryText): void {
  const setVector = cpu.setVector.bind(cpu);
  const setInterrupt = cpu.setInterrupt.bind(cpu);
  cpu.setVector = (level, handler) => setVector(level, withText(handler, text, runText));
  cpu.setInterrupt = (vector, handler, level) =>
    setInterrupt(vector, withText(handler, text, runUnmeasured), level);
}

function withText(
  handler: Handler,
  text: EntryText,
  run: (cpu: Cpu, text: EntryText) => Program,
): Handler {
  return function* (cpu): Program {
    yield run(cpu, text);
    yield handler(cpu);
  };
}

/** An interrupt may come in the middle of a stretch that is measured. */
function runUnmeasured(cpu: Cpu, { code, stream, blocks }: EntryText): Program {
  return executeCode(cpu, code, stream, blocks);
}

/** One stretch of kernel text, measured; on a path that goes on, where one is given. */
export function* runText(cpu: Cpu, text: EntryText, path?: CodePath): Program {
  const { code, stream, blocks, hitPs } = text;
  const { hi, lo, layout } = code;
  const run = { hi, lo, stream, blocks, hitPs };
  cpu.begin(Metric.TextRun);
  yield* executeMeasured(cpu, path ?? new CodePath(layout), run);
  cpu.end(Metric.TextRun);
}
