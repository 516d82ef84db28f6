/** Error numbers that kernel programs leave, negated, in `cpu.ret` (asm-generic/errno-base.h). */

export const EPERM = 1;
export const ENOENT = 2;
/** Inside the stage-2 walkers: a leaf does not fit this level. */
export const E2BIG = 7;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const EINVAL = 22;
export const ENOSPC = 28;
export const ERANGE = 34;
export const EOPNOTSUPP = 95;
