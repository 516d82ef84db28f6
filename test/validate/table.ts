/** A table of the report, before it is text or Markdown. */

export interface Table {
  readonly title: string;
  readonly lines: readonly string[];
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}
