import { UserError } from '../base/errors.ts';
import type { Machine } from './machine.ts';
export function loadUserMachine(path: string): Machine {
  throw new UserError(`${path}: machine files are not read yet`);
}
