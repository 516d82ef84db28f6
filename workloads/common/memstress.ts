/**
 * The VM of the KVM selftests that stress guest memory (tools/testing/selftests/kvm/lib/
 * memstress.c): one region at the top of the guest's physical memory, split into memslots, mapped
 * at one guest-virtual range; each vCPU touches its own part, or (-o) all of it.
 *
 * Every vCPU thread and the main thread has a CPU of its own, and so has the source of MMU
 * notifiers if there is one.
 */

import { UserError } from '../../src/base/errors.ts';
import type { Parameters } from '../../src/base/parameters.ts';
import { formatBytes } from '../../src/base/units.ts';
import { type Backing, backingOf } from '../../src/kernel/stage2/backing.ts';
import type { GuestTranslation, WorkloadContext } from '../workload.ts';
import { type GuestPass, privateHitPs } from './guest-code.ts';
import { type GuestMode, guestModeOf, guestModeText } from './guest-mode.ts';
import { checkedMemory, vcpusOf } from './selftest.ts';
import { flagOf, numberOf, textOf } from './values.ts';

/** DEFAULT_GUEST_TEST_MEM. */
const GUEST_TEST_MEMORY = 0xc000_0000;

export interface MemstressPlan {
  readonly vcpus: number;
  /** CPU of the main thread, and of the notifier source (null = none). */
  readonly mainCpu: number;
  readonly notifierCpu: number | null;
  readonly mode: GuestMode;
  readonly backing: Backing;
  readonly bytesPerVcpu: number;
  /** All test memory: where it starts in the guest, and its length. */
  readonly gpa: number;
  readonly gva: number;
  readonly bytes: number;
  readonly slots: number;
  readonly overlap: boolean;
  /** What the slowest private hit of a guest access takes. */
  readonly hitPs: number;
}

/** The main thread first, the notifier source last if the options have one. */
export function memstressHelpers(parameters: Parameters): number {
  const notifier = parameters['notifier'];
  return notifier === undefined || notifier === 'off' ? 1 : 2;
}

/** `helpers`: CPUs behind those of the vCPUs; the main thread's is the first of them. */
export function memstressPlan(context: WorkloadContext, helpers: number): MemstressPlan {
  const { parameters } = context;
  const vcpus = vcpusOf(context, helpers);
  const bytesPerVcpu = checkedMemory(context, 'perVcpuMemory');
  const slots = 'memslots' in parameters ? numberOf(parameters, 'memslots') : 1;
  const overlap = 'overlap' in parameters && flagOf(parameters, 'overlap');
  const bytes = vcpus * bytesPerVcpu;
  const region = regionPlan(context, vcpus, bytes);
  checkSlots(bytes, slots, 2 ** region.mode.pageShift, 2 ** region.backing.unitShift);
  return { ...region, bytesPerVcpu, slots, overlap };
}

/** A region that all vCPUs touch. */
export function regionPlan(context: WorkloadContext, vcpus: number, bytes: number): MemstressPlan {
  const { parameters, placement } = context;
  const mode = guestModeOf(textOf(parameters, 'mode'));
  const backing = backingOf('backing' in parameters ? textOf(parameters, 'backing') : 'anonymous');
  const hasNotifier = memstressHelpers(parameters) > 1;
  return {
    vcpus,
    mainCpu: placement.cpus[vcpus]!,
    notifierCpu: hasNotifier ? placement.cpus.at(-1)! : null,
    mode,
    backing,
    bytesPerVcpu: bytes,
    gpa: topOfGuestMemory(mode, bytes, 2 ** backing.unitShift),
    gva: GUEST_TEST_MEMORY,
    bytes,
    slots: 1,
    overlap: true,
    hitPs: privateHitPs(context.machine),
  };
}

function checkSlots(bytes: number, slots: number, pageBytes: number, unitBytes: number): void {
  if (bytes % (slots * pageBytes) !== 0) {
    throw new UserError('memslots: Guest memory cannot be evenly divided into slots.');
  }
  const slotBytes = bytes / slots;
  if (slots > 1 && slotBytes % unitBytes !== 0) {
    throw new UserError(
      `memslots: slots of ${formatBytes(slotBytes)} are no multiple of the backing's ` +
        `pages of ${formatBytes(unitBytes)}`,
    );
  }
}

export function memstressTranslation(context: WorkloadContext): GuestTranslation {
  const mode = guestModeOf(textOf(context.parameters, 'mode'));
  return { guestGranuleShift: mode.pageShift, ipaBits: mode.paBits };
}

/** The test's region ends one page below the top, aligned down to the backing's page size. */
function topOfGuestMemory(mode: GuestMode, bytes: number, unitBytes: number): number {
  const pageBytes = 2 ** mode.pageShift;
  const top = 2 ** mode.paBits;
  const gpa = top - bytes - pageBytes;
  const alignment = Math.max(unitBytes, pageBytes, 2 ** 20);
  if (gpa < 2 ** 32) {
    throw new UserError(
      `perVcpuMemory: Requested more guest memory than address space allows ` +
        `(${formatBytes(bytes)}, ${guestModeText(mode)})`,
    );
  }
  return Math.floor(gpa / alignment) * alignment;
}

/** What one vCPU touches. */
export function passOf(
  plan: MemstressPlan,
  vcpu: number,
  writePercent: number,
  randomOrder: boolean,
): GuestPass {
  const pageBytes = 2 ** plan.mode.pageShift;
  const gva = plan.overlap ? plan.gva : plan.gva + vcpu * plan.bytesPerVcpu;
  const bytes = plan.overlap ? plan.bytes : plan.bytesPerVcpu;
  return { gva, pages: bytes / pageBytes, pageBytes, writePercent, randomOrder, hitPs: plan.hitPs };
}

/** "guest physical test memory: [0x..., 0x...)", and the mode, as memstress prints them. */
export function memstressHeader(plan: MemstressPlan): string[] {
  const hex = (address: number): string => `0x${address.toString(16)}`;
  return [
    `Testing guest mode: ${guestModeText(plan.mode)}`,
    `guest physical test memory: [${hex(plan.gpa)}, ${hex(plan.gpa + plan.bytes)})`,
  ];
}
