/**
 * "Did you mean": the candidate that is closest to a mistyped word, by Damerau-Levenshtein distance
 * in its optimal string alignment form (insert, delete, replace, swap of neighbours). Case and the
 * difference between `-` and `_` count for nothing. A candidate further away than a third of the
 * word's length is no suggestion: a wrong hint is worse than none.
 */

export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = fold(word);
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const offered = fold(candidate);
    const limit = Math.max(1, Math.floor(Math.max(wanted.length, offered.length) / 3));
    if (Math.abs(wanted.length - offered.length) > limit && !isStart(wanted, offered)) continue;
    const distance = isStart(wanted, offered) ? 1 : editDistance(wanted, offered);
    if (distance <= limit && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The end of an error message: "; did you mean 'graviton4_2p'?", or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const suggestion = suggest(word, candidates);
  return suggestion === undefined ? '' : `; did you mean '${suggestion}'?`;
}

/** Longest word that is compared; what is longer was no typing error. */
const LENGTH_MAX = 200;

export function editDistance(a: string, b: string): number {
  if (a.length > LENGTH_MAX || b.length > LENGTH_MAX) return Math.max(a.length, b.length);
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let distance = Math.min(
        last[column]! + 1,
        current[column - 1]! + 1,
        last[column - 1]! + (same ? 0 : 1),
      );
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (row > 1 && column > 1 && swapped) {
        distance = Math.min(distance, beforeLast[column - 2]! + 1);
      }
      current.push(distance);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}

function fold(word: string): string {
  return word.toLowerCase().replaceAll('-', '_');
}

/** "graviton4" for "graviton4_2p": somebody who stops early means the whole. */
function isStart(wanted: string, offered: string): boolean {
  return wanted.length >= 3 && offered.startsWith(wanted);
}
