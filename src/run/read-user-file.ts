/** Files that the user named on the command line: their contents, or one line why not. */

import { readFileSync } from 'node:fs';
import { UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';

/** Contents of a file that the user named; one line if it cannot be read. */
export function readUserFile(path: string, word: string, bytesMax = 16 * 1024 * 1024): Buffer {
  let contents: Buffer;
  try {
    contents = readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'is a folder' : code;
    throw new UserError(`${given(word)}: ${why}`);
  }
  if (contents.length > bytesMax) {
    throw new UserError(`${given(word)}: ${contents.length} bytes are more than ${bytesMax}`);
  }
  return contents;
}
