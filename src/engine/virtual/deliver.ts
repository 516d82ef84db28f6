/**
 * Delivers a message that was read from another worker's outbox or channel to the CPU, home or
 * agent it is for.
 */

import type { LossKind, RequestKind } from '../../cache/line-state.ts';
import { MessageKind } from './mailbox.ts';
import type { Roads } from './roads.ts';

export function deliver(roads: Roads, w: Float64Array, at: number): void {
  const time = w[at]!;
  const kindAndCpu = w[at + 1]!;
  const cpu = kindAndCpu >> 4;
  const target = w[at + 2]!;
  const hi = w[at + 3]!;
  const lo = w[at + 4]!;
  const a = w[at + 5]!;
  const b = w[at + 6]!;
  const c = w[at + 7]!;
  switch (kindAndCpu & 15) {
    case MessageKind.Request:
      roads.home(target).request(cpu, time, hi, lo, a as RequestKind, b === 1, c);
      break;
    case MessageKind.WriteBack:
      roads.home(target).writeBack(cpu, time, hi, lo, a === 1);
      break;
    case MessageKind.Grant:
      roads.cpu(target).granted(time, a, b, c);
      break;
    case MessageKind.Loss:
      roads.lose(target, time, hi, lo, a as LossKind, c);
      break;
    case MessageKind.DvmIssue:
      roads.agent(target).issue(cpu, time, a, b, hi, lo, c);
      break;
    case MessageKind.DvmForward:
      roads.agent(target).receive(cpu, time, a, b, hi, lo, c);
      break;
    case MessageKind.DvmApply:
      roads.addDvm(target, time, cpu, a, b, hi, lo, c);
      break;
    case MessageKind.DvmAck:
      roads.cpu(target).acknowledged(time);
      break;
    case MessageKind.Interrupt:
      roads.cpu(target).interruptArrives(time, a);
      break;
    case MessageKind.DomainRequest:
      roads.domains.agent(target).request(cpu, time, hi, lo, a as RequestKind);
      break;
    case MessageKind.DomainFill:
      roads.domains.agent(target).fill(time, hi, lo);
      break;
    case MessageKind.DomainSnoop:
      roads.domains.agent(target).snoop(time, hi, lo, a);
      break;
    case MessageKind.DomainLeave:
      roads.home(target).domainLeaves(a, time, hi, lo);
      break;
    default:
      roads.cpu(target).wakeArrives(time);
  }
}
