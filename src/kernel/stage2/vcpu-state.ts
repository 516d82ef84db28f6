/** What one vCPU thread keeps to itself between exits. Never seen by another CPU. */

import { newPageLookup, type PageLookup } from './page-lookup.ts';
import type { VcpuImage, Vm } from './vm.ts';

export interface Vcpu {
  readonly vm: Vm;
  readonly image: VcpuImage;
  readonly found: PageLookup;
  /** A guest access has faulted and is not performed yet: Metric.FaultStall is open. */
  stalled: boolean;
  /** What VTTBR holds: VMID and root. */
  vmid: number;
  rootHi: number;
  rootLo: number;
}

export function newVcpu(vm: Vm, index: number): Vcpu {
  const image = vm.image.vcpus[index]!;
  return { vm, image, found: newPageLookup(), stalled: false, vmid: 0, rootHi: 0, rootLo: 0 };
}
