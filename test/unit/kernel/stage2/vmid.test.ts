/**
 * Promise: no two VMs ever run with one VMID at a time, however often the VMID space rolls over,
 * and a rollover leaves no translation of an earlier generation behind.
 */

import { describe, expect, it } from 'vitest';
import { assert } from '../../../../src/base/assert.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Regime, Register } from '../../../../src/cpu/operations.ts';
import { guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import { openVms } from '../../../../src/kernel/stage2/vm.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { guestVa, KvmHarness } from './kvm-harness.ts';

const VMS = 20;

describe('VMIDs', () => {
  it('are exclusive to a VM through rollovers', () => {
    let rollovers = 0;
    for (let seed = 1; seed <= 6; seed++) {
      // Four bits: VMIDs 1 to 15 for twenty VMs that two CPUs run in turn.
      const harness: KvmHarness = new KvmHarness({
        seed,
        vms: VMS,
        vcpus: 2,
        helpers: 0,
        shareCpus: true,
        bytes: 4096 * 4,
        vmidBits: 4,
        witness: (cpu) => {
          const tag = cpu.roots.get(Register.Vttbr)!.tag;
          for (const other of harness.engine.cpus) {
            const theirs = other.roots.get(Register.Vttbr);
            if (other === cpu || other.regime !== Regime.Guest || theirs === undefined) continue;
            const same = theirs.paLo === cpu.roots.get(Register.Vttbr)!.paLo;
            assert(same || theirs.tag !== tag, `VMID ${tag} on CPUs ${cpu.id} and ${other.id}`);
          }
        },
      });
      const turns = function* (cpu: Cpu): Program {
        const vms = openVms(harness.image);
        for (let turn = 0; turn < 2 * VMS; turn++) {
          const own = vms[(turn * 3 + cpu.id * 4) % VMS]!;
          yield runVcpu(cpu, own, cpu.id, (at, vcpu) => {
            const { hi, lo } = guestVa((turn % 4) * 4096);
            return guestStore(at, vcpu, hi, lo, 0, turn);
          });
        }
      };
      harness.run([turns, turns]);
      rollovers += harness.counter(Counter.VmidRollovers);
    }
    expect(rollovers).toBeGreaterThan(0);
  });
});
