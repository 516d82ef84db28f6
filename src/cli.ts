#!/usr/bin/env node
/**
 * The command line. yargs splits words and options; values are checked by this project's own tables
 * (commands/options.ts). Whatever goes wrong ends here: bad input is one line on stderr, a bug of
 * numalab prints its stack and asks for a report; the exit code says which (base/errors.ts).
 */

import { widenInlining } from './base/inlining.ts';
import { main } from './commands/main.ts';

widenInlining();

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.stderr.on('error', () => {});

process.exitCode = await main(process.argv.slice(2));
