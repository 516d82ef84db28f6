/**
 * The two text formats of traces, and what is said of a line that is in neither.
 *
 * lackey: `valgrind --tool=lackey --trace-mem=yes` (lk_main.c): "I  04001020,3" (instruction),
 * " L 1ffeffe7e8,8", " S ...", " M ..." (load, store, modify); address in hex, bytes in decimal.
 * din: "label address" of Dinero (label 0 read, 1 write, 2 fetch; address in hex). It has no sizes:
 * an access lies in the line of its address.
 *
 * A decimal CPU number and a blank before each record make a trace of several CPUs (this is the
 * project's own addition, both tools write one stream). Lines that are empty or begin with "==",
 * "--" (valgrind's own words) or "#" are skipped.
 */

import { given } from '../base/parse-quantity.ts';

export type Format = 'lackey' | 'din';

/** Form of all records of a file, told by its first one. */
export interface Form {
  readonly format: Format;
  readonly hasCpus: boolean;
}

const LACKEY = /^(\d+[ \t])? *[ILSM] +[0-9a-f]/i;
const DIN = /^ *\d+[ \t]+[0-9a-f]+\s*$/i;
const DIN_OF_CPU = /^ *\d+[ \t]+\d[ \t]+[0-9a-f]+\s*$/i;

/** null: a record of neither format. */
export function formOf(line: string): Form | null {
  const lackey = LACKEY.exec(line);
  if (lackey !== null) return { format: 'lackey', hasCpus: lackey[1] !== undefined };
  if (DIN.test(line)) return { format: 'din', hasCpus: false };
  if (DIN_OF_CPU.test(line)) return { format: 'din', hasCpus: true };
  return null;
}

const EXAMPLES: Readonly<Record<Format, string>> = {
  lackey: "' L 1ffeffe7e8,8' or 'I  04001020,3'",
  din: "'0 1ffeffe7e8' (label 0, 1 or 2, address in hex)",
};

function expectedForm(form: Form | null): string {
  if (form === null) {
    return `a lackey record such as ${EXAMPLES.lackey}, or a din record such as ${EXAMPLES.din}`;
  }
  const cpus = form.hasCpus ? ' after a CPU number' : '';
  return `a ${form.format} record such as ${EXAMPLES[form.format]}${cpus}, as in the lines before`;
}

/** `where`: file and line. */
export function wrongLine(where: string, line: string, form: Form | null): string {
  return `${where}: ${given(line)} is no record; expected ${expectedForm(form)}`;
}
