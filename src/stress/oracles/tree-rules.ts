/**
 * Rules about whole trees of tables, as casemate has them: descriptors of a tree are written under
 * the lock that the tree told, a root is switched to with its own tag, and two trees don't share a
 * tag while translations of the other may be cached. A tree that has told nothing is not judged.
 */

import { Tlbi } from '../../cpu/operations.ts';
import type { TlbiOperation } from '../../engine/explore/observer.ts';
import type { Place } from './table-trees.ts';

export interface TreeFacts {
  /** Whose tree it is: two trees of one owner may share a tag. */
  readonly owner: number;
  /** Key of the lock that its writers hold. */
  readonly lock?: number;
  /** The only tag that it is ever used with. */
  readonly tag?: number;
}

interface TagUse {
  owner: number;
  cpu: number;
}

/** `text`: what is wrong, or null. */
type Say = string | null;

export class TreeRules {
  readonly #facts = new Map<number, TreeFacts>();
  /** By lock key: CPUs that hold it, once per hold. */
  readonly #holders = new Map<number, number[]>();
  readonly #tags = new Map<number, TagUse>();
  /** By CPU: tags whose flush it has issued and not completed; -1: all. */
  readonly #flushing = new Map<number, Set<number>>();

  begin(): void {
    this.#facts.clear();
    this.#holders.clear();
    this.#tags.clear();
    this.#flushing.clear();
  }

  tell(rootPage: number, facts: TreeFacts): void {
    this.#facts.set(rootPage, facts);
  }

  get knows(): boolean {
    return this.#facts.size > 0;
  }

  locked(cpu: number, lock: number): void {
    const holders = this.#holders.get(lock);
    if (holders === undefined) this.#holders.set(lock, [cpu]);
    else holders.push(cpu);
  }

  unlocked(cpu: number, lock: number): void {
    const holders = this.#holders.get(lock);
    const at = holders?.indexOf(cpu) ?? -1;
    if (at >= 0) holders!.splice(at, 1);
  }

  /** A program writes a descriptor of a tree. */
  written(cpu: number, { tree }: Place): Say {
    const facts = this.#facts.get(tree.page);
    if (facts?.lock === undefined) return null;
    const holders = this.#holders.get(facts.lock) ?? [];
    if (holders.includes(cpu)) return null;
    return holders.length > 0
      ? 'writes a descriptor of a tree while another holds its lock'
      : 'writes a descriptor without the lock of its tree';
  }

  /** A root register is written. */
  switched(rootPage: number, tag: number): Say {
    const facts = this.#facts.get(rootPage);
    if (facts?.tag === undefined || facts.tag === tag) return null;
    return `switches to a tree of tag ${facts.tag} with tag ${tag}`;
  }

  /** A translation is used; `key`: regime and tag. The other CPU, if the tag has another owner. */
  used(cpu: number, rootPage: number, key: number): number | null {
    const owner = this.#facts.get(rootPage)?.owner;
    if (owner === undefined) return null;
    const use = this.#tags.get(key);
    if (use !== undefined && use.owner !== owner) return use.cpu;
    if (use === undefined) this.#tags.set(key, { owner, cpu });
    return null;
  }

  tlbi({ issuer, operation, context }: TlbiOperation): void {
    const tag =
      operation === Tlbi.AllE1Is ? -1 : operation === Tlbi.VmallS12E1Is ? context >>> 16 : 0;
    if (tag === 0) return;
    let tags = this.#flushing.get(issuer);
    if (tags === undefined) this.#flushing.set(issuer, (tags = new Set()));
    tags.add(tag);
  }

  dsb(cpu: number): void {
    const tags = this.#flushing.get(cpu);
    if (tags === undefined) return;
    if (tags.has(-1)) this.#tags.clear();
    for (const tag of tags) this.#tags.delete(tag);
    this.#flushing.delete(cpu);
  }
}
