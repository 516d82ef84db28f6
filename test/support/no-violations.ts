/** What the checkers say of a run on the virtual engine; in tests every violation is an error. */

import { CheckError } from '../../src/base/errors.ts';
import { judge } from '../../src/checkers/replay.ts';
import type { EngineSpec, WorkerResult } from '../../src/engine/virtual/spec.ts';

/** Does nothing for a run without checks. */
export function refuseViolations(spec: EngineSpec, results: readonly WorkerResult[]): void {
  const logs = results.flatMap((result) => result.logs);
  if (logs.length === 0) return;
  const verdicts = judge(logs, {
    symbols: spec.symbols,
    bbm: spec.machine.features.bbm,
    finished: results.every(({ ending }) => ending.kind === 'finished'),
  });
  const violations = verdicts.filter(({ ok }) => !ok).map(({ name, text }) => `${name}: ${text}`);
  if (violations.length > 0) throw new CheckError(violations.join('\n'));
}
