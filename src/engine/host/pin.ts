/**
 * Pinning of threads to host CPUs: emulated nodes go round the host's NUMA nodes, the CPUs of a
 * node round the host CPUs there that this process may use. It takes the package koffi, which is
 * no dependency: whoever wants it installs it; without it, or elsewhere than on Linux, threads run
 * where the host puts them, and the run says so.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { formatCpulist, parseCpulist } from '../../base/parse-cpulist.ts';
import type { Machine } from '../../machine/machine.ts';

/** Bytes of a cpu_set_t: 1024 CPUs. */
const CPU_SET_BYTES = 128;

export interface PinPlan {
  /** Host CPUs by active CPU; null: no pinning. */
  readonly pins: readonly (readonly number[])[] | null;
  /** For the header of a run. */
  readonly text: string;
}

type SetAffinity = (pid: number, bytes: number, mask: Uint8Array) => number;

/** Before the threads start; each pins itself (pinThread). */
export async function planPins(machine: Machine, activeCpus: readonly number[]): Promise<PinPlan> {
  if (process.platform !== 'linux') return { pins: null, text: `not pinned (${process.platform})` };
  if ((await loadSetAffinity()) === null) {
    return { pins: null, text: 'not pinned (the package koffi is not installed)' };
  }
  const hostNodes = hostCpusByNode();
  if (hostNodes.length === 0) return { pins: null, text: 'not pinned (no host CPUs found)' };
  const usedOfNode = new Map<number, number>();
  const pins = activeCpus.map((cpu) => {
    const node = machine.nodeOfCpu[cpu]! % hostNodes.length;
    const used = usedOfNode.get(node) ?? 0;
    usedOfNode.set(node, used + 1);
    const cpus = hostNodes[node]!;
    return [cpus[used % cpus.length]!];
  });
  const places = [...usedOfNode.keys()].map(
    (node) => `host node ${node}: CPUs ${formatCpulist(hostNodes[node]!)}`,
  );
  return { pins, text: `pinned node by node to ${places.join('; ')}` };
}

/** Pins the calling thread; false: the host refused. */
export async function pinThread(hostCpus: readonly number[]): Promise<boolean> {
  const setAffinity = await loadSetAffinity();
  if (setAffinity === null) return false;
  const mask = new Uint8Array(CPU_SET_BYTES);
  for (const cpu of hostCpus) mask[cpu >>> 3]! |= 1 << (cpu & 7);
  return setAffinity(0, mask.length, mask) === 0;
}

/** null: koffi is not installed, or the C library is another one. */
async function loadSetAffinity(): Promise<SetAffinity | null> {
  const koffi = (await importOptional('koffi')) as Koffi | null;
  if (koffi === null) return null;
  for (const library of ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1']) {
    try {
      const c = koffi.load(library);
      return c.func('int sched_setaffinity(int pid, size_t bytes, void *mask)') as SetAffinity;
    } catch {}
  }
  return null;
}

interface Koffi {
  load(library: string): { func(prototype: string): unknown };
}

/** Beside this package, or where the user works. */
async function importOptional(name: string): Promise<unknown> {
  const places = [name];
  try {
    const here = createRequire(pathToFileURL(`${process.cwd()}/`));
    places.push(pathToFileURL(here.resolve(name)).href);
  } catch {}
  for (const place of places) {
    try {
      const module = (await import(place)) as { default?: unknown };
      return module.default ?? module;
    } catch {}
  }
  return null;
}

/** Host CPUs that this process may use, by host node; nodes without any are left out. */
function hostCpusByNode(): number[][] {
  const allowed = new Set(readCpulist('/proc/self/status', /^Cpus_allowed_list:\s*(\S+)$/m));
  const nodes: number[][] = [];
  try {
    const root = '/sys/devices/system/node';
    const names = readdirSync(root).filter((name) => /^node\d+$/.test(name));
    for (const name of names.sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))) {
      nodes.push(readCpulist(`${root}/${name}/cpulist`, /^(\S+)$/m));
    }
  } catch {}
  const usable = nodes.map((cpus) => cpus.filter((cpu) => allowed.has(cpu)));
  const found = usable.filter((cpus) => cpus.length > 0);
  if (found.length > 0) return found;
  return allowed.size > 0 ? [[...allowed]] : [];
}

function readCpulist(path: string, pattern: RegExp): number[] {
  try {
    const text = pattern.exec(readFileSync(path, 'utf8'))?.[1];
    return text === undefined ? [] : parseCpulist(path, text);
  } catch {
    return [];
  }
}
