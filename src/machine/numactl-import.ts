/**
 * The text of `numactl -H` from a real machine to a machine file. It tells CPUs, memory sizes and
 * the SLIT of each node. All else comes from a machine that the user names as alike, written out
 * in full and labelled an estimate, so that every gap can be seen and filled.
 *
 * Sockets are not in the text: nodes closer than 20 (what ACPI calls remote) count as one socket.
 * Clusters and dies come from the model machine where its size of them divides every node.
 */

import { Document, Scalar, visit, type YAMLMap } from 'yaml';
import { formatCpulist } from '../base/parse-cpulist.ts';
import { formatBytes, MIB } from '../base/units.ts';
import { loadProfile } from './catalog.ts';
import { COST_ESTIMATES } from './cost-estimates.ts';
import { COST_NAMES } from './costs.ts';
import { type Numactl, parseNumactl } from './numactl-text.ts';
import { MACHINE_PARAMETERS } from './parameter-table.ts';
import type { Profile, ProfileValue } from './profile.ts';
import { NODE_MEMORY_MAX } from './topology.ts';

const REMOTE_DISTANCE = 20;
const SOURCE = 'numactl -H';

type Written = Readonly<Record<string, unknown>>;

/** `name`: of the new machine. Returns the text of a YAML machine file. */
export function fromNumactl(text: string, modelName: string, name = 'imported'): string {
  const numactl = parseNumactl(text);
  const model = loadProfile(modelName);
  const sockets = socketsOf(numactl);
  const root: Record<string, unknown> = {
    name,
    description: `from numactl -H; what it doesn't tell is taken from ${model.name}`,
    architecture: model.architecture,
    topology: topologyOf(numactl, sockets, model),
  };
  for (const { name: parameter } of MACHINE_PARAMETERS) {
    const value = gap(parameter, model, sockets);
    if (value !== undefined) put(root, parameter.split('.'), value);
  }
  return asYaml(root, model.name);
}

function topologyOf(numactl: Numactl, sockets: readonly number[], model: Profile): Written {
  const notes = numactl.nodes
    .filter(({ memoryBytes }) => memoryBytes > NODE_MEMORY_MAX)
    .map(({ memoryBytes }, node) => `node ${node} has ${formatBytes(memoryBytes)}`);
  const note =
    notes.length === 0
      ? {}
      : { note: `${notes.join(', ')}; the address map ends at ${formatBytes(NODE_MEMORY_MAX)}` };
  const memory = numactl.nodes.map(({ memoryBytes }) => {
    const bytes = Math.min(memoryBytes, NODE_MEMORY_MAX);
    return bytes < MIB ? 0 : formatBytes(bytes);
  });
  return {
    cpus: known(numactl.nodes.map(({ cpus }) => formatCpulist(cpus))),
    sockets: guessed([...sockets], `nodes closer than ${REMOTE_DISTANCE} taken as one socket`),
    ...groups(numactl, model),
    memory: { ...known(memory), ...note },
    distances:
      numactl.distances === undefined
        ? guessed(usualDistances(sockets), 'no distances in the text: 10, 12 in a socket, 20')
        : known(numactl.distances),
  };
}

function known(value: unknown): Written {
  return { value, source: SOURCE, confidence: 'published' };
}

function guessed(value: unknown, source: string): Written {
  return { value, source, confidence: 'estimate' };
}

function groups(numactl: Numactl, model: Profile): Written {
  const found: Record<string, unknown> = {};
  for (const key of ['clusterCpus', 'dieCpus']) {
    const value = model.values.get(`topology.${key}`);
    if (value === undefined) continue;
    const size = value.value as number;
    if (numactl.nodes.some(({ cpus }) => cpus.length % size !== 0)) continue;
    found[key] = guessed(size, `from ${model.name}: ${value.source}`);
  }
  return found;
}

function socketsOf(numactl: Numactl): number[] {
  const sockets: number[] = [];
  let next = 0;
  numactl.nodes.forEach((_, node) => {
    const mate = sockets.findIndex((__, other) => {
      const distance = numactl.distances?.[node]?.[other] ?? REMOTE_DISTANCE;
      return distance < REMOTE_DISTANCE;
    });
    sockets.push(mate < 0 ? next++ : sockets[mate]!);
  });
  return sockets;
}

function usualDistances(sockets: readonly number[]): number[][] {
  return sockets.map((own, from) =>
    sockets.map((other, to) => (from === to ? 10 : own === other ? 12 : 20)),
  );
}

/** Figures between nodes that the model lacks, from one that it has. */
const INSTEAD: Readonly<Record<string, readonly [string, number]>> = {
  'latency.dramCrossDie': ['latency.dramLocal', 1.5],
  'latency.dramRemote': ['latency.dramLocal', 2],
  'bandwidth.crossDie': ['bandwidth.local', 1],
  'bandwidth.remote': ['bandwidth.local', 0.25],
};

function gap(parameter: string, model: Profile, sockets: readonly number[]): Written | undefined {
  const severalSockets = new Set(sockets).size > 1;
  const sharedSocket = new Set(sockets).size < sockets.length;
  if (/Remote$|CrossSocket$|\.remote$/.test(parameter) && !severalSockets) return undefined;
  if (/CrossDie$|\.crossDie$/.test(parameter) && !sharedSocket) return undefined;
  const value = model.values.get(parameter) ?? fromMatrix(parameter, model);
  if (value !== undefined) return copied(value, model.name);
  if (parameter.startsWith('costs.')) {
    const cost = parameter.slice('costs.'.length);
    const estimate = COST_ESTIMATES[cost];
    return COST_NAMES.includes(cost) && estimate !== undefined
      ? { value: estimate.ns, unit: 'ns', source: estimate.source, confidence: 'estimate' }
      : undefined;
  }
  return invented(parameter, model);
}

function copied(value: ProfileValue, modelName: string): Written {
  const unit = value.unit === '' ? {} : { unit: value.unit };
  const source = `from ${modelName}: ${value.source}`;
  return { value: value.value, ...unit, source, confidence: 'estimate' };
}

/** One figure per tier from a matrix of latencies: the first pair of nodes that is of the tier. */
function fromMatrix(parameter: string, model: Profile): ProfileValue | undefined {
  const matrix = model.values.get('latency.dramMatrix');
  const sockets = model.values.get('topology.sockets')?.value as readonly number[] | undefined;
  if (matrix === undefined || sockets === undefined) return undefined;
  const mate = {
    'latency.dramLocal': 0,
    'latency.dramCrossDie': sockets.findIndex((socket, node) => node > 0 && socket === sockets[0]),
    'latency.dramRemote': sockets.findIndex((socket) => socket !== sockets[0]),
  }[parameter];
  if (mate === undefined || mate < 0) return undefined;
  return { ...matrix, value: (matrix.value as readonly (readonly number[])[])[0]![mate]! };
}

function invented(parameter: string, model: Profile): Written | undefined {
  const rule = INSTEAD[parameter];
  if (rule === undefined) return undefined;
  const [other, factor] = rule;
  const value = model.values.get(other) ?? fromMatrix(other, model);
  if (value === undefined) return undefined;
  const number = Math.round(Number(value.value) * factor * 10) / 10;
  const source = `${factor} times ${other} of ${model.name}, which has no such figure`;
  return { value: number, unit: value.unit, source, confidence: 'estimate' };
}

function put(root: Record<string, unknown>, keys: readonly string[], value: unknown): void {
  let node = root;
  for (const key of keys.slice(0, -1)) {
    node[key] ??= {};
    node = node[key] as Record<string, unknown>;
  }
  node[keys.at(-1)!] = value;
}

/** Sections in block style, each parameter on one line. */
function asYaml(root: Written, modelName: string): string {
  const document = new Document(root);
  visit(document, {
    Map(_key, node: YAMLMap) {
      if (node.has('value')) node.flow = true;
    },
    Scalar(_key, node: Scalar) {
      if (typeof node.value === 'string' && /[^\w.]/.test(node.value)) {
        node.type = Scalar.QUOTE_DOUBLE;
      }
    },
  });
  document.commentBefore =
    ` A machine of numalab, imported from numactl -H.\n` +
    ` Parameters marked "estimate" come from ${modelName}: replace those that you know.`;
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}
