/**
 * Shape of a machine file, as a zod schema built from the parameter table. It checks what one value
 * can tell by itself; what values must be to each other is checked when they are resolved. The same
 * schema, as JSON Schema, ships as machine.schema.json for editors; a test fails when that file is
 * stale and says how to write it.
 */

import * as z from 'zod';
import { MACHINE_PARAMETERS, type MachineParameter } from './parameter-table.ts';

const CONFIDENCES = ['published', 'derived', 'estimate'] as const;
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;
const TEXT_MAX = 1000;

const NUMBER_TEXT: Readonly<Record<string, RegExp>> = {
  time: /^\d{1,15}(?:\.\d{1,12})? ?(?:ps|ns|us|ms|cycles)$/,
  size: /^\d{1,15}(?:\.\d{1,6})? ?[KMGT]?(?:i?B)?$/,
  bandwidth: /^\d{1,15}(?:\.\d{1,12})? ?(?:GB\/s|MB\/s)$/,
  frequency: /^\d{1,15}(?:\.\d{1,12})? ?(?:GHz|MHz)$/,
};

const UNIT = z.string().max(40);
const LINE = z.string().max(TEXT_MAX);
const CONFIDENCE = z.enum(CONFIDENCES);

/** The value alone, or in full with where it comes from. */
function alsoInFull(value: z.ZodType): z.ZodType {
  const full = z.strictObject({
    value,
    unit: UNIT.optional(),
    source: LINE.optional(),
    confidence: CONFIDENCE.optional(),
    note: LINE.optional(),
  });
  return z.union([value, full]);
}

function withSource(value: z.ZodType, description: string): z.ZodType {
  return alsoInFull(value).optional().describe(description);
}

/** One schema object per kind of value, so that the JSON schema names each once. */
class ValueSchemas {
  readonly #byKind = new Map<string, z.ZodType>();

  of(row: MachineParameter): z.ZodType {
    const key = [row.kind, row.least, ...(row.choices ?? [])].join();
    let schema = this.#byKind.get(key);
    if (schema === undefined) {
      schema = alsoInFull(plainValue(row));
      this.#byKind.set(key, schema);
    }
    return schema.optional().describe(row.description);
  }
}

function plainValue(row: MachineParameter): z.ZodType {
  if (row.kind === 'flag') return z.boolean();
  if (row.kind === 'text') return z.string().regex(NAME);
  if (row.kind === 'choice') {
    const words = row.choices ?? [];
    const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
    const word = z.enum(words as [string, ...string[]]);
    return numbers.length === 0 ? word : z.union([word, z.literal(numbers)]);
  }
  const number = row.kind === 'count' ? z.number().int() : z.number();
  const bounded = row.least === 'positive' ? number.positive() : number.min(row.least);
  const text = NUMBER_TEXT[row.kind];
  return text === undefined ? bounded : z.union([bounded, z.string().regex(text)]);
}

const TOPOLOGY = z.strictObject({
  cpus: withSource(
    z.array(z.union([z.string().max(8192), z.number().int().min(0)])).min(1),
    "CPUs of each node as cpulists, for example ['0-95', '96-191']; '' for a node without CPUs",
  ),
  sockets: withSource(
    z.array(z.number().int().min(0).max(1023)).min(1),
    'socket of each node; left out: every node is a socket',
  ),
  clusterCpus: withSource(z.number().int().min(1), 'CPUs per cluster; left out: 1'),
  dieCpus: withSource(z.number().int().min(1), 'CPUs per die; left out: a node is one die'),
  memory: withSource(
    z.array(z.union([z.number().int().min(0), z.string().regex(NUMBER_TEXT['size']!)])).min(1),
    'memory of each node, at most 256G; 0 for a node without memory',
  ),
  distances: withSource(
    z.array(z.array(z.number())).min(1),
    'ACPI SLIT as numactl -H prints it; informational, latencies never come from it',
  ),
});

const MATRIX = withSource(
  z.array(z.array(z.number().positive())).min(1),
  'memory latency in ns, row: node of the CPU, column: node of the memory; wins over the tiers',
);

/** Nested objects from the dotted names of the table. */
function sections(
  rows: readonly MachineParameter[],
  depth: number,
  values: ValueSchemas,
): Record<string, z.ZodType> {
  const shape: Record<string, z.ZodType> = {};
  const groups = new Map<string, MachineParameter[]>();
  for (const row of rows) {
    const keys = row.name.split('.').slice(depth);
    const key = keys[0]!;
    if (keys.length === 1) shape[key] = values.of(row);
    else groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  for (const [key, below] of groups) {
    const matrix = depth === 0 && key === 'latency' ? { dramMatrix: MATRIX } : {};
    const nested = { ...sections(below, depth + 1, values), ...matrix };
    shape[key] = z.strictObject(nested).optional();
  }
  return shape;
}

export function profileSchema(): z.ZodType {
  return z
    .strictObject({
      name: z.string().regex(NAME).optional().describe('left out: the name of the file'),
      description: LINE.optional(),
      architecture: z.enum(['arm64', 'x86']).optional(),
      base: UNIT.optional().describe(
        'bundled machine to take every parameter from that this file is silent about',
      ),
      topology: TOPOLOGY.optional(),
      ...sections(MACHINE_PARAMETERS, 0, new ValueSchemas()),
    })
    .describe('A machine of numalab');
}

/** Text of machine.schema.json. */
export function profileJsonSchema(): string {
  const schema = z.toJSONSchema(profileSchema(), { target: 'draft-2020-12', reused: 'ref' });
  return `${JSON.stringify({ title: 'numalab machine', ...schema }, null, 2)}\n`;
}
