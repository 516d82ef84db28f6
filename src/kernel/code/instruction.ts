/**
 * The few A64 instructions that generated code consists of, as real words (Arm ARM DDI 0487, C6.2):
 * B, BL, B.cond, RET and NOP. B, BL and NOP (with BRK, ISB, SVC, HVC and SMC) are those that may be
 * changed into each other while another CPU executes them (B2.3, "Concurrent modification and
 * execution of instructions"); whatever else is patched needs everybody to stand still.
 *
 * Offsets are in bytes from the instruction itself.
 */

export const NOP = 0xd503201f | 0;
export const RET = 0xd65f03c0 | 0;
/** What freed text is filled with: AARCH64_BREAK_FAULT, BRK #0x100. */
export const BREAK = 0xd4202000 | 0;

const BRANCH = 0x14000000;
const CALL = 0x94000000 | 0;
const CONDITIONAL = 0x54000000;
const IMM26 = 0x03ffffff;
const IMM19 = 0x7ffff;
const OPCODE26 = 0xfc000000 | 0;
const OPCODE_CONDITIONAL = 0xff000010 | 0;

export const InstructionKind = {
  /** Anything that goes on with the next instruction. */
  Plain: 0,
  Branch: 1,
  Call: 2,
  Conditional: 3,
  Return: 4,
} as const;
export type InstructionKind = (typeof InstructionKind)[keyof typeof InstructionKind];

export function encodeBranch(offsetBytes: number): number {
  return BRANCH | ((offsetBytes >> 2) & IMM26);
}

export function encodeCall(offsetBytes: number): number {
  return CALL | ((offsetBytes >> 2) & IMM26);
}

export function encodeConditional(offsetBytes: number, condition: number): number {
  return CONDITIONAL | (((offsetBytes >> 2) & IMM19) << 5) | (condition & 15);
}

/** ADD Xn, Xn, #imm: what stands between the instructions that matter. */
export function encodeWork(random: number): number {
  const register = random & 7;
  return 0x91000000 | ((random >>> 3) & 0x3ffc00) | (register << 5) | register;
}

export function kindOf(word: number): InstructionKind {
  if (word === RET) return InstructionKind.Return;
  const opcode = word & OPCODE26;
  if (opcode === BRANCH) return InstructionKind.Branch;
  if (opcode === CALL) return InstructionKind.Call;
  if ((word & OPCODE_CONDITIONAL) === CONDITIONAL) return InstructionKind.Conditional;
  return InstructionKind.Plain;
}

/** Of a branch, call or conditional branch. */
export function offsetOf(word: number, kind: InstructionKind): number {
  if (kind === InstructionKind.Conditional) return ((word << 8) >> 13) << 2;
  return (word << 6) >> 4;
}
