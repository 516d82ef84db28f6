/**
 * `npm run validate [-- --json] [--full]`: published figures and the claims of the locks beside
 * emulated ones. Writes test/reports/validation.md; --full runs the published sizes (hours) and
 * writes validation-full.md instead. Exits with 2 if a figure that must come back does not; claims
 * that don't fit are printed.
 */

import { writeFileSync } from 'node:fs';
import { packageRoot } from '../../src/base/package-root.ts';
import { dirtyLog } from './dirty-log.ts';
import { latencyTiers } from './latency-tiers.ts';
import { loadedLatencies } from './loaded-latency.ts';
import { validateLocks } from './locks.ts';
import { asJson, asMarkdown, asText, type Validation } from './report.ts';
import { comesBack } from './row.ts';
import { textAndCode } from './text-and-code.ts';
import { traceHits } from './traces.ts';

async function main(argv: readonly string[]): Promise<number> {
  const unknown = argv.find((word) => word !== '--json' && word !== '--full');
  if (unknown !== undefined) {
    process.stderr.write(
      `validate: '${unknown}' is unknown\nusage: npm run validate -- [--json] [--full]\n`,
    );
    return 1;
  }
  const full = argv.includes('--full');
  process.stderr.write('validate: latencies by tier\n');
  const tiers = [...(await latencyTiers()), ...(await loadedLatencies())];
  process.stderr.write('validate: dirty logging, 1 to 48 vCPUs\n');
  const dirty = await dirtyLog(full);
  process.stderr.write('validate: a trace\n');
  const traces = await traceHits();
  process.stderr.write('validate: text and code\n');
  const text = await textAndCode();
  process.stderr.write('validate: locks\n');
  const validation: Validation = {
    ...{ tiers, traces },
    dirtyLog: dirty,
    textAndCode: text,
    locks: validateLocks(),
  };
  const page = full ? 'validation-full.md' : 'validation.md';
  writeFileSync(new URL(`test/reports/${page}`, packageRoot()), asMarkdown(validation));
  const output = argv.includes('--json') ? asJson(validation) : asText(validation);
  process.stdout.write(`${output}\n`);
  return [...tiers, ...traces].some((row) => comesBack(row) === false) ? 2 : 0;
}

process.exitCode = await main(process.argv.slice(2));
