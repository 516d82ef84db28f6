/** The last line of a run: a command worth trying next, built from what was just run. */

import { replayCommand } from './replay.ts';
import type { RunSpec } from './run-spec.ts';

export function nextCommand(spec: RunSpec): string {
  const { request, workload, seeds } = spec;
  if (spec.engine === 'host') return replayCommand(spec, seeds[0]!).replace(' --engine host', '');
  const name = request.workload ?? workload.name;
  const options = replayCommand(spec, seeds[0]!)
    .split(' ')
    .slice(3 + request.assignments.length);
  const tail = options.length > 0 ? ` ${options.join(' ')}` : '';
  const text = spec.parameters['text'];
  if (typeof text === 'string') {
    const other = text === 'replicated' ? 'shared' : 'replicated';
    return `numalab compare ${name} text=${text} text=${other}${tail}`;
  }
  const has = (key: string): boolean => key in spec.parameters;
  if (has('faults')) {
    const other = spec.parameters['faults'] === 'parallel' ? 'exclusive' : 'parallel';
    return `numalab compare ${name} faults=${spec.parameters['faults']} faults=${other}${tail}`;
  }
  const lock = spec.parameters['lock'];
  if (typeof lock === 'string' && lock !== '') {
    const other = lock === 'mcs' ? 'ticket' : 'mcs';
    return `numalab compare ${name} lock=${lock} lock=${other}${tail}`;
  }
  const input = spec.parameters['input'];
  if (typeof input === 'string' && input !== '') {
    const places = ['first-touch', 'interleave'].map((way) => `input=${input},mempolicy=${way}`);
    return `numalab compare ${name} ${places.join(' ')}${tail}`;
  }
  if (seeds.length === 1) return `numalab run ${name} --repeat 4`;
  return `numalab list params ${name}`;
}
