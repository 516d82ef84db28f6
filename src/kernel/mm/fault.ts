/**
 * The host's page-fault vector (Linux arch/arm64/mm/fault.c: do_translation_fault, do_page_fault;
 * mm/memory.c: handle_mm_fault, __handle_mm_fault, handle_pte_fault; v6.13). The access that
 * faulted is repeated after the return; a fault that another thread has already served returns at
 * once.
 */

import { CheckError, UserError } from '../../base/errors.ts';
import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { FaultKind, Level } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import type { AddressSpace } from './address-space.ts';
import { faultAnonymousPage, faultHugePage, isHugeSuitable } from './fault-anonymous.ts';
import { faultFilePage } from './fault-file.ts';
import { faultWriteProtected } from './fault-write.ts';
import { VmaKind } from './mm-struct.ts';
import { vaHi, vaLo, vaOf } from './virtual-address.ts';
import { type FaultVma, unlockVma, VmaLookup } from './vma.ts';

/** FSC without the level. */
const FAULT_KIND_MASK = 0b111100;

/** Installs the vector for the process that this CPU runs. */
export function installFaultHandler(cpu: Cpu, space: AddressSpace): void {
  const lookup = new VmaLookup();
  const handler: Handler = (self) => handleFault(self, space, lookup);
  cpu.setVector(Level.Host, handler);
}

function* handleFault(cpu: Cpu, space: AddressSpace, lookup: VmaLookup): Program {
  const { exception } = cpu;
  const address = vaOf(exception.farHi, exception.farLo);
  const write = exception.write;
  const kind = exception.fsc & FAULT_KIND_MASK;
  cpu.begin(Metric.HostFault);
  cpu.count(Counter.HostFaults, 1);
  cpu.spend(Cost.HostFault);
  yield lookup.lock(cpu, space, address);
  const vma = lookup.found;
  if (vma === null || (kind !== FaultKind.Translation && kind !== FaultKind.Permission)) {
    throw new CheckError(
      `cpu ${cpu.id}: segmentation fault at ${hex(address)}, ${write ? 'write' : 'read'}, ` +
        `fault status ${exception.fsc}`,
    );
  }
  if (kind === FaultKind.Permission) yield* faultWriteProtected(cpu, space, vma, address);
  else yield* faultMissing(cpu, space, vma, address, write);
  if (cpu.ret < 0) {
    throw new UserError(
      `out of emulated memory in a page fault on node ${cpu.node}; lower size= or spread the tasks`,
    );
  }
  yield* unlockVma(cpu, space, vma);
  cpu.end(Metric.HostFault);
}

/** __handle_mm_fault for an entry that is none. */
function* faultMissing(
  cpu: Cpu,
  space: AddressSpace,
  vma: FaultVma,
  address: number,
  write: boolean,
): Program {
  if (vma.kind !== VmaKind.Anonymous) {
    yield* faultFilePage(cpu, space, vma, address, write);
    return;
  }
  if (write && space.options.thp === 'always' && isHugeSuitable(vma, address)) {
    yield* faultHugePage(cpu, space, vma, address);
    if (cpu.ret !== 0) return;
  }
  yield* faultAnonymousPage(cpu, space, vma, address, write);
}

function hex(address: number): string {
  const digits = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
  return `${digits(vaHi(address))}${digits(vaLo(address))}`;
}
