/** A replay met something that is not as its log says. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
}
