/** The unit of text: 64 bytes, a cache line (BPF_PROG_CHUNK_SIZE). */

export const CHUNK_SHIFT = 6;
export const CHUNK_BYTES = 2 ** CHUNK_SHIFT;

/** Bytes in whole chunks. */
export function roundToChunks(bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES) * CHUNK_BYTES;
}
