/**
 * Comlink over a MessagePort of Node. Comlink ships an adapter of its own, but without types that
 * `nodenext` finds; this is the same thing, typed.
 *
 * Messages leave a worker at once even while it computes; nothing reaches it before it returns to
 * its event loop. So calls go from workers to the main thread only: whatever must stop a worker is
 * a word in shared memory.
 */

import type { MessagePort } from 'node:worker_threads';
import type { Endpoint } from 'comlink';

interface MessageEventLike {
  readonly data: unknown;
}
type Listener =
  | ((event: MessageEventLike) => void)
  | { handleEvent(event: MessageEventLike): void };

export function nodeEndpoint(port: MessagePort): Endpoint {
  const attached = new Map<Listener, (data: unknown) => void>();
  const endpoint = {
    postMessage: (message: unknown, transfer?: readonly MessagePort[]): void => {
      port.postMessage(message, transfer as MessagePort[] | undefined);
    },
    addEventListener: (_type: string, listener: Listener): void => {
      const receive = (data: unknown): void => {
        if (typeof listener === 'function') listener({ data });
        else listener.handleEvent({ data });
      };
      port.on('message', receive);
      attached.set(listener, receive);
    },
    removeEventListener: (_type: string, listener: Listener): void => {
      const receive = attached.get(listener);
      if (receive === undefined) return;
      port.off('message', receive);
      attached.delete(listener);
    },
    start: (): void => port.start(),
  };
  return endpoint as unknown as Endpoint;
}
