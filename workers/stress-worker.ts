/** A worker thread of a stress campaign: runs schedules, or makes a failing one short. */

import { performStressTask } from '../src/stress/worker-task.ts';

/** Piscina runs the default export of its module. */
export default performStressTask;
