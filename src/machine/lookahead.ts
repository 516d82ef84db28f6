/**
 * L and G: how far an emulated CPU may run without hearing from the others (ER-T2, ER-T5).
 *
 * L is the smallest time in which anything inside a node can be answered; the request leg counts
 * nothing, so L is a round trip. G is the step of the grid on which losses take effect: the largest
 * that is above neither L nor any hop and fits a whole number of times into F, the hop after which
 * worker threads meet. Both belong to the machine alone, never to how it is emulated.
 */

import { assert } from '../base/assert.ts';

/** An in-node answer and the parameter that it comes from. */
export interface Answer {
  readonly parameter: string;
  readonly ps: number;
}

export function leastAnswer(answers: readonly Answer[]): Answer {
  const first = answers[0];
  assert(first !== undefined, 'a machine without in-node answers');
  return answers.reduce((least, answer) => (answer.ps < least.ps ? answer : least), first);
}

export function gridPs(lookaheadPs: number, hopPs: Float64Array, socketOfNode: Int32Array): number {
  const nodeCount = socketOfNode.length;
  let stepPs = lookaheadPs;
  let meetingPs = Number.POSITIVE_INFINITY;
  for (let a = 0; a < nodeCount; a++) {
    for (let b = 0; b < nodeCount; b++) {
      if (a === b) continue;
      const hop = hopPs[a * nodeCount + b]!;
      stepPs = Math.min(stepPs, hop);
      const apart = socketOfNode[a] !== socketOfNode[b];
      if (apart && hop >= lookaheadPs) meetingPs = Math.min(meetingPs, hop);
    }
  }
  if (meetingPs === Number.POSITIVE_INFINITY) return stepPs;
  return Math.floor(meetingPs / Math.ceil(meetingPs / stepPs));
}
