/**
 * Random numbers: one stream per (seed, purpose name, CPU), no shared generator, so that what one
 * part draws never moves what another part sees. Each stream is sfc32 (Chris Doty-Humphrey's small
 * fast counter generator, 128 bits of state) started from a hash of the three.
 *
 * Only integers come out. Transcendental functions are not used: their last bit may differ between
 * JavaScript engines, and a digest must not.
 */

/** Mixes a 32-bit word (the finaliser of MurmurHash3: every input bit moves every output bit). */
export function mix32(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
}

/** A stateless 32-bit hash of integers; used for ties and stream starts. */
export function hash32(a: number, b: number, c: number, d: number): number {
  let h = mix32((a | 0) ^ 0x9e3779b9);
  h = mix32(h ^ (b | 0));
  h = mix32(Math.imul(h, 5) ^ (c | 0));
  return mix32(Math.imul(h, 9) ^ (d | 0));
}

/** Hash of a name, for stream identities. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix32(h);
}

/** Low and high halves of a seed up to 2^53. */
export function seedHalves(seed: number): readonly [number, number] {
  return [seed | 0, Math.floor(seed / 0x1_0000_0000) | 0];
}

export class RandomStream {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, purpose: string, cpu: number) {
    const [low, high] = seedHalves(seed);
    const name = hashText(purpose);
    this.#a = hash32(low, high, name, cpu);
    this.#b = hash32(name, low, cpu, high);
    this.#c = hash32(cpu, name, high, low);
    for (let i = 0; i < 12; i++) this.uint32();
  }

  /** The next 32 bits, as an unsigned integer. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** The next words into a whole array: one by one costs several times as much. */
  fill(words: Int32Array): void {
    let a = this.#a;
    let b = this.#b;
    let c = this.#c;
    let counter = this.#counter;
    for (let i = 0; i < words.length; i++) {
      const sum = (a + b + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      words[i] = sum;
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#counter = counter;
  }

  /**
   * An integer in [0, bound), bound at most 2^32; by multiplication, bias below 2^-20 for small
   * bounds.
   */
  below(bound: number): number {
    return Math.floor((this.uint32() * bound) / 0x1_0000_0000);
  }
}
