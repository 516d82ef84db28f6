/** numalab stress: the command's name is taken; the engines behind it are not in this version. */

import { UserError } from '../base/errors.ts';
import type { Command } from './command.ts';

export const stressCommand: Command = {
  name: 'stress',
  words: 'TARGET [key=value ...]',
  description: 'try to break a lock or a protocol (not in this version)',
  options: [],
  examples: [],
  isLater: true,
  run: async () => {
    throw new UserError('stress is not in this version');
  },
};
