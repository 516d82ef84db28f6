/** Path of a workload of this folder, compiled. */

import { fileURLToPath } from 'node:url';

export function ownModule(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url));
}
