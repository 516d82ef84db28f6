/** A worker thread of the virtual engine: boots a machine, or runs one share of it to its end. */

import { performTask } from '../src/run/worker-task.ts';

/** Piscina runs the default export of its module. */
export default performTask;
