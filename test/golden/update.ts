/** `npm run golden`: runs the pinned runs and writes their digests to test/golden/digests.json. */

import { writeFileSync } from 'node:fs';
import { packageRoot } from '../../src/base/package-root.ts';
import { digestOfRun, GOLDEN_RUNS } from './runs.ts';

const digests: Record<string, string> = {};
for (const golden of GOLDEN_RUNS) {
  digests[golden.command] = await digestOfRun(golden, '1');
  console.log(`${digests[golden.command]!.slice(0, 12)}  ${golden.command}`);
}
const file = new URL('test/golden/digests.json', packageRoot());
writeFileSync(file, `${JSON.stringify(digests, null, 2)}\n`);
