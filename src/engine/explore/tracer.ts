/** What a traced run is told; the fast path has none. */
export interface Tracer {
  begin(): void;
  announced(cpu: number, op: number): void;
  saved(cpu: number): void;
  restored(cpu: number): void;
  step(agent: number): void;
  value(value: number): void;
}
