/**
 * Guest translation for the step engine: a nested walk of what VTTBR and TTBR0_EL1 point to, behind
 * a TLB per CPU that keeps combined entries until a TLBI removes them. Stage-2-only forms remove
 * nothing (X10), so code that forgets the stage-1 flush is caught with a stale entry.
 */

import { assert } from '../../../../src/base/assert.ts';
import { FaultKind, Level, Register, Tlbi } from '../../../../src/cpu/operations.ts';
import { GUEST_VA_BITS } from '../../../../src/kernel/stage2/guest-tables.ts';
import type { Address } from '../../../../src/memory/physical-address.ts';
import type { TranslationTable } from '../../../../src/translation/boot-tables.ts';
import { PERM_READ, PERM_WRITE } from '../../../../src/translation/descriptors.ts';
import { GRANULE_4K, stage2StartLevel, startLevel } from '../../../../src/translation/granule.ts';
import { softwareWalk } from '../../../../src/translation/software-walk.ts';
import { s2Permissions } from '../../../../src/translation/stage2-descriptors.ts';
import type { StepCpu } from '../../../support/step-cpu.ts';
import type { Translation } from '../../../support/step-cpu-core.ts';
import type { StepHooks } from '../../../support/step-engine.ts';

interface TlbEntry {
  readonly paHi: number;
  readonly paLo: number;
  readonly ipa: number;
  readonly permissions: number;
  /** Level of the stage-2 leaf when the entry was filled: what a permission fault reports. */
  readonly level: number;
}

/** Told of every guest access that is performed. */
export type AccessWitness = (
  cpu: StepCpu,
  ipa: number,
  write: boolean,
  pa: Address,
  fromTlb: boolean,
) => void;

export class GuestTranslation {
  readonly #tlbs = new Map<number, Map<string, TlbEntry>>();
  readonly #ipaBits: number;
  readonly #witness: AccessWitness;
  walks = 0;
  hits = 0;

  constructor(ipaBits: number, witness: AccessWitness = () => {}) {
    this.#ipaBits = ipaBits;
    this.#witness = witness;
  }

  /** Hooks for the engine. */
  hooks(): StepHooks {
    return {
      translateGuest: (cpu, hi, lo, write, fetch) => this.#translate(cpu, hi, lo, write, fetch),
      onTlbi: (cpu, operation) => this.#invalidate(cpu, operation),
    };
  }

  #tlbOf(cpu: number): Map<string, TlbEntry> {
    let tlb = this.#tlbs.get(cpu);
    if (tlb === undefined) this.#tlbs.set(cpu, (tlb = new Map()));
    return tlb;
  }

  #translate(
    cpu: StepCpu,
    vaHi: number,
    vaLo: number,
    write: boolean,
    fetch: boolean,
  ): Translation {
    const vttbr = cpu.roots.get(Register.Vttbr)!;
    assert(vttbr.tag > 0, `guest of cpu ${cpu.id} runs with VMID ${vttbr.tag}`);
    const key = `${vttbr.tag}:${vaHi}:${vaLo & ~4095}`;
    const tlb = this.#tlbOf(cpu.id);
    const cached = tlb.get(key);
    const wanted = write ? PERM_WRITE : PERM_READ;
    if (cached !== undefined && (cached.permissions & wanted) !== 0) {
      this.hits++;
      const pa = { hi: cached.paHi, lo: cached.paLo | (vaLo & 4095) };
      this.#witness(cpu, cached.ipa, write, pa, true);
      return { ok: true, paHi: pa.hi, paLo: pa.lo };
    }
    // An entry that lacks the permission may stay and fault again: that is what the flush is for.
    if (cached !== undefined) return permissionFault(cached);
    this.walks++;
    return this.#walk(cpu, key, vaHi, vaLo, write, fetch);
  }

  #stage2(cpu: StepCpu): TranslationTable {
    const { paHi, paLo } = cpu.roots.get(Register.Vttbr)!;
    return {
      root: { hi: paHi, lo: paLo },
      granule: GRANULE_4K,
      startLevel: stage2StartLevel(GRANULE_4K, this.#ipaBits),
      inputBits: this.#ipaBits,
    };
  }

  #walk(
    cpu: StepCpu,
    key: string,
    vaHi: number,
    vaLo: number,
    write: boolean,
    fetch: boolean,
  ): Translation {
    const { memory } = cpu.engine;
    const stage2 = this.#stage2(cpu);
    const root = cpu.roots.get(Register.GuestTtbr0)!;
    const stage1: TranslationTable = {
      root: { hi: root.paHi, lo: root.paLo },
      granule: GRANULE_4K,
      startLevel: startLevel(GRANULE_4K, GUEST_VA_BITS),
      inputBits: GUEST_VA_BITS,
    };
    let tableFault: Translation | null = null;
    const walk1 = softwareWalk(memory, stage1, vaHi, vaLo, (ipa) => {
      const nested = softwareWalk(memory, stage2, ipa.hi, ipa.lo);
      if (nested.fault === 'none') return nested.output;
      const kind = nested.fault === 'translation' ? FaultKind.Translation : FaultKind.AccessFlag;
      tableFault = {
        ok: false,
        level: Level.El2,
        fsc: kind | nested.level,
        ipaHi: ipa.hi,
        ipaLo: ipa.lo & ~4095,
        stage1Walk: true,
      };
      return undefined;
    });
    if (tableFault !== null) return tableFault;
    assert(walk1.fault === 'none', `the guest touches VA ${vaHi}:${vaLo}, which it never mapped`);
    const { hi, lo } = walk1.output;
    const walk2 = softwareWalk(memory, stage2, hi, lo);
    const fault = { ok: false, level: Level.El2, ipaHi: hi, ipaLo: lo & ~4095 } as const;
    if (walk2.fault === 'translation') {
      return { ...fault, fsc: FaultKind.Translation | walk2.level };
    }
    if (walk2.fault === 'access-flag') {
      return { ...fault, fsc: FaultKind.AccessFlag | walk2.level };
    }
    const permissions = s2Permissions(walk2.hi, walk2.lo);
    const pa = walk2.output;
    const ipa = hi * 2 ** 32 + ((lo & ~4095) >>> 0);
    this.#tlbOf(cpu.id).set(key, {
      paHi: pa.hi,
      paLo: pa.lo & ~4095,
      ipa,
      permissions,
      level: walk2.level,
    });
    const wanted = fetch ? 4 : write ? PERM_WRITE : PERM_READ;
    if ((permissions & wanted) === 0) return { ...fault, fsc: FaultKind.Permission | walk2.level };
    this.#witness(cpu, ipa, write, pa, false);
    return { ok: true, paHi: pa.hi, paLo: pa.lo };
  }

  #invalidate(cpu: StepCpu, operation: Tlbi): void {
    if (operation === Tlbi.AllE1Is) {
      this.#tlbs.clear();
      return;
    }
    const local = operation === Tlbi.VmallE1;
    if (!local && operation !== Tlbi.VmallE1Is && operation !== Tlbi.VmallS12E1Is) return;
    const prefix = `${cpu.roots.get(Register.Vttbr)!.tag}:`;
    for (const [owner, tlb] of this.#tlbs) {
      if (local && owner !== cpu.id) continue;
      for (const key of [...tlb.keys()]) if (key.startsWith(prefix)) tlb.delete(key);
    }
  }
}

function permissionFault(entry: TlbEntry): Translation {
  return {
    ok: false,
    level: Level.El2,
    fsc: FaultKind.Permission | entry.level,
    ipaHi: Math.floor(entry.ipa / 2 ** 32),
    ipaLo: entry.ipa | 0,
  };
}
