/**
 * A decoded access as two 32-bit words, as it lies in the ring between reader and CPU: the low word
 * is the address down to a multiple of 8 with the kind in the low bits, the high word has address
 * bits 47..32 and, above them, the number of the CPU in the trace.
 *
 * Invariant: an access lies in one cache line. The reader cuts records that cross lines into parts;
 * the last part of each access has `LAST`. A modify is a load and a store (Kind.ModifyLoad, Store).
 */

export const Kind = { Load: 0, Store: 1, Fetch: 2, ModifyLoad: 3 } as const;

export const KIND_MASK = 3;
export const LAST = 4;
export const LINE_MASK = 63;

/** Words of an access. */
export const ENTRY_WORDS = 2;

/** CPU numbers of a trace: as many as the largest machine has. */
export const TRACE_CPUS_MAX = 1024;

/** Address bits 47..32 are the high half: as many as a user address has. */
export const HI_MASK = 0xffff;
export const CPU_SHIFT = 16;

/** Bytes of one record: the longest that valgrind writes are far below. */
export const RECORD_BYTES_MAX = 4096;
