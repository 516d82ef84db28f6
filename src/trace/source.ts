/**
 * Bytes of a trace file, plain or gzip (told by its first two bytes), in chunks of bounded size,
 * and the SHA-256 of the file as it lies on disk.
 */

import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { UserError } from '../base/errors.ts';
import { CHUNK_BYTES } from './decoder.ts';
import type { TraceFile } from './scanned-trace.ts';

export class TraceSource {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  /** Bytes of the file read so far. */
  bytes = 0;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /** Refuses what cannot be read twice: a trace is hashed before it runs. */
  static async open({ file, path }: TraceFile): Promise<TraceSource> {
    let handle: FileHandle | null = null;
    try {
      // Without O_NONBLOCK, opening a FIFO that nobody writes would never return.
      handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const facts = await handle.stat();
      if (facts.isFile()) return new TraceSource(file, handle);
      await handle.close();
      throw new UserError(
        facts.isDirectory()
          ? `${file}: is a folder; expected a trace file`
          : `${file}: is no regular file (a FIFO or device); write the trace to a file first, ` +
              'because it is read more than once',
      );
    } catch (error) {
      throw fileError(file, error);
    }
  }

  /** After all of it has been read. */
  sha256(): string {
    return this.#hash.digest('hex');
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** A chunk is valid until the next one is asked for. */
  async *chunks(): AsyncGenerator<Uint8Array, void> {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const first = await this.#read(buffer);
    if (first.length === 0) {
      throw new UserError(`${this.#file}: is empty; expected a trace (lackey or din)`);
    }
    if (first[0] === 0x1f && first[1] === 0x8b) yield* this.#unzipped(first);
    else for (let chunk = first; chunk.length > 0; chunk = await this.#read(buffer)) yield chunk;
  }

  async #read(buffer: Buffer): Promise<Buffer> {
    try {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, null);
      const chunk = buffer.subarray(0, bytesRead);
      this.#hash.update(chunk);
      this.bytes += bytesRead;
      return chunk;
    } catch (error) {
      throw fileError(this.#file, error);
    }
  }

  async *#unzipped(first: Buffer): AsyncGenerator<Uint8Array, void> {
    const unzip = createGunzip({ chunkSize: CHUNK_BYTES });
    const zipped = Readable.from(this.#zippedChunks(first), { objectMode: false });
    zipped.on('error', (error) => unzip.destroy(error));
    zipped.pipe(unzip);
    try {
      for await (const chunk of unzip) yield* piecesOf(chunk as Uint8Array);
    } catch (error) {
      throw gzipError(this.#file, error);
    } finally {
      zipped.destroy();
      unzip.destroy();
    }
  }

  /** Buffers of their own: unzipping holds on to them. */
  async *#zippedChunks(first: Buffer): AsyncGenerator<Buffer, void> {
    for (let chunk = first; chunk.length > 0; ) {
      yield chunk;
      chunk = await this.#read(Buffer.allocUnsafe(CHUNK_BYTES));
    }
  }
}

/** A stream hands over all that it has, in one piece. */
function* piecesOf(chunk: Uint8Array): Generator<Uint8Array, void> {
  for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
    yield chunk.subarray(at, at + CHUNK_BYTES);
  }
}

function gzipError(file: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') {
    return new UserError(`${file}: the gzip data is cut off (${message}); copy or record it again`);
  }
  if (code?.startsWith('Z_')) return new UserError(`${file}: broken gzip data (${message})`);
  return error;
}

function fileError(file: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof UserError || code === undefined) return error;
  const why: Readonly<Record<string, string>> = {
    ENOENT: 'no such file',
    EISDIR: 'is a folder; expected a trace file',
    EACCES: 'may not be read (permission)',
    ENXIO: 'is no regular file (a socket or device); write the trace to a file first',
  };
  return new UserError(`${file}: ${why[code] ?? code}`);
}
