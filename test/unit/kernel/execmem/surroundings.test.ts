/**
 * Promises around the allocators: text out of reach is counted or refused in one line, an aged
 * buddy has no huge pages, the text tail is used where there is one, programs above a pack get
 * pages of their own, and the listing and the W^X audit say what the kernel's table says.
 */

import { describe, expect, it } from 'vitest';
import { Order } from '../../../../src/cpu/operations.ts';
import { kernelLayout } from '../../../../src/kernel/base/kernel-layout.ts';
import { auditPages } from '../../../../src/kernel/base/zone-audit.ts';
import { makeAllocator } from '../../../../src/kernel/execmem/allocators.ts';
import {
  checkExecmemOptions,
  type ExecmemOptions,
  resolveExecmemOptions,
} from '../../../../src/kernel/execmem/options.ts';
import { isOutOfReach, reachOf } from '../../../../src/kernel/execmem/reach.ts';
import { execmemReport } from '../../../../src/kernel/execmem/report.ts';
import { auditTiling } from '../../../../src/kernel/execmem/tiling.ts';
import { auditProtection } from '../../../../src/kernel/execmem/write-xor-execute.ts';
import {
  type Change,
  SET_EXECUTABLE,
  SET_NO_EXECUTE,
  SET_READ_ONLY,
  SET_WRITABLE,
} from '../../../../src/kernel/linear-map/set-memory.ts';
import { POKE_WINDOW } from '../../../../src/kernel/patching/fixmap-poke.ts';
import { VmallocRange } from '../../../../src/kernel/vmalloc/image.ts';
import { addBytes, fromLinear } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import {
  S1_KERNEL_DATA_HI,
  S1_KERNEL_DATA_LO,
} from '../../../../src/translation/stage1-descriptors.ts';
import { execmemMachine, runExecmem } from '../../../support/execmem-run.ts';

const MIB = 2 ** 20;

function one(given: Partial<ExecmemOptions>, architecture: 'arm64' | 'x86', bytes = 64) {
  return runExecmem({
    architecture,
    options: given,
    *program(cpu, parts) {
      yield* makeAllocator(parts).allocate(cpu, bytes);
      expect(cpu.ret).toBe(0);
    },
  });
}

describe('reach', () => {
  it('counts text that needs a PLT entry', () => {
    const plts = (modulesRange: ExecmemOptions['modulesRange']): number =>
      one({ allocator: 'module_alloc', modulesRange }, 'arm64').counter(Counter.ExecmemOutOfReach);
    expect(plts('near')).toBe(0);
    expect(plts('far')).toBe(1);
    expect(plts('none')).toBe(1);
  });

  it('refuses in one line what nothing bridges', () => {
    const check = (architecture: 'arm64' | 'x86', given: Partial<ExecmemOptions>) => () => {
      const machine = execmemMachine(architecture, 1);
      checkExecmemOptions({ ...resolveExecmemOptions({}, machine), ...given }, machine);
    };
    expect(check('arm64', { modulesRange: 'far', trampolines: false })).toThrow(
      /^trampolines=off:/,
    );
    expect(check('x86', { modulesRange: 'none' })).toThrow(/^modulesRange=none: .* x86/);
    expect(check('arm64', { poke: 'none' })).toThrow(/^poke=none: allocator=prog_pack/);
    expect(check('arm64', { modulesRange: 'near', trampolines: false })).not.toThrow();
  });

  it('measures from the far end of both', () => {
    const machine = execmemMachine('arm64', 1);
    const options = resolveExecmemOptions({}, machine);
    const reach = reachOf(machine, options, kernelLayout(false), 16 * MIB);
    const edge = addBytes(reach.kernel, -112 * MIB);
    expect(isOutOfReach(reach, edge, 64)).toBe(false);
    expect(isOutOfReach(reach, addBytes(edge, -64), 64)).toBe(true);
  });
});

describe('memory', () => {
  it.each([0, 50, 100])('a buddy with %i per cent of its blocks in pieces', (agedBuddy) => {
    const run = one({ allocator: 'execmem-posted', agedBuddy }, 'x86');
    expect(run.counter(Counter.ExecmemSmallPages)).toBe(agedBuddy === 100 ? 1 : 0);
    auditPages(run.image.pages, run.memory.peek32.bind(run.memory));
  });

  it('gives programs above a pack pages of their own', () => {
    const run = one({ allocator: 'prog_pack' }, 'x86', 2 * MIB + 64);
    expect(run.counter(Counter.ExecmemPopulated)).toBe(0);
  });

  it('uses the text tail before anything else', () => {
    const run = runExecmem({
      options: { allocator: 'execmem-posted', textTail: true },
      kernelOptions: ['text', 'execmem'],
      pagesBytes: 4 * MIB,
      *program(cpu, parts) {
        const { tail } = parts.image.posted;
        const memory = makeAllocator(parts);
        yield* memory.allocate(cpu, 64);
        expect({ hi: cpu.hi, lo: cpu.lo }).toEqual(tail!.start);
        yield* memory.free(cpu, cpu.hi, cpu.lo, 64);
      },
    });
    const peek = run.memory.peek32.bind(run.memory);
    expect(run.counter(Counter.ExecmemPopulated)).toBe(0);
    expect(auditTiling(peek, run.image)).toEqual([]);
    expect(() => one({ allocator: 'execmem-posted', textTail: true }, 'x86')).toThrow(
      /^textTail=on: this workload has no kernel text/,
    );
  });
});

describe('the kernel table', () => {
  it('lists executable blocks, and finds what is wrong', () => {
    const run = one({ allocator: 'execmem-posted' }, 'x86');
    const { memory, image } = run;
    const peek = memory.peek32.bind(memory);
    const machine = execmemMachine('x86', 1);
    const [map, listing, ...rest] = execmemReport(peek, machine, image);
    expect(map).toMatch(/^DirectMap4k: \d+ kB {2}DirectMap2M: \d+ kB {2}DirectMap1G: \d+ kB$/);
    expect(listing).toMatch(/^0xffff[0-9a-f]{12}-0xffff[0-9a-f]{12} +2M PMD ro x $/);
    expect(rest).toEqual([]);

    const table = { root: image.table.root, rodata: 'full', architecture: 'x86' } as const;
    const window = fromLinear(image.fixmap.entry);
    const text = Number.parseInt(listing!.slice(6, 18), 16);
    const frame = frameBehind(peek, image.table.root, text);
    memory.poke32(window.hi, window.lo, frame.lo | 0x703);
    memory.poke32(window.hi, window.lo + 4, frame.hi | (3 << 21));
    const open = auditProtection(peek, table);
    expect(open.violations).toEqual([]);
    expect(open.windows[0]).toMatch(/on all CPUs \(fixmap\)$/);
    expect(POKE_WINDOW.lo & 4095).toBe(0);

    memory.poke32(frame.entry.hi, frame.entry.lo, frame.word & ~0x80);
    const wrong = auditProtection(peek, table).violations;
    expect(wrong[0]).toMatch(/is writable and executable$/);
  });
});

describe('the checker of W^X', () => {
  const run = (changes: readonly Change[], given: Partial<ExecmemOptions> = {}) =>
    runExecmem({
      architecture: given.rodata === 'noalias' ? 'arm64' : 'x86',
      options: given,
      *program(cpu, { vmalloc, setMemory }) {
        yield* vmalloc.allocate(cpu, {
          range: VmallocRange.Modules,
          bytes: 8192,
          alignShift: 12,
          node: 0,
          attributesHi: S1_KERNEL_DATA_HI,
          attributesLo: S1_KERNEL_DATA_LO,
          resetPermissions: true,
        });
        const at = { hi: cpu.hi, lo: cpu.lo };
        for (const change of changes) yield* setMemory.change(cpu, at, 2, change);
        yield* vmalloc.free(cpu, at.hi, at.lo);
      },
    });
  const far = { modulesRange: 'far' } as const;
  const forgotten = { ...SET_READ_ONLY, aliased: false };

  it('finds an alias that was forgotten, or opened too early', () => {
    expect(() => run([forgotten, SET_EXECUTABLE], far)).toThrow(
      /w\^x: CPU 0 .* makes memory executable whose linear alias is writable/,
    );
    expect(() => run([SET_READ_ONLY, SET_EXECUTABLE, SET_WRITABLE], far)).toThrow(
      /w\^x: CPU 0 .* makes the linear alias of executable memory writable/,
    );
  });

  it('finds a mapping that is writable and executable', () => {
    const writeText = () =>
      runExecmem({
        options: {},
        *program(cpu, { vmalloc, setMemory }) {
          yield* vmalloc.allocate(cpu, {
            range: VmallocRange.Direct,
            bytes: 4096,
            alignShift: 12,
            node: 0,
            attributesHi: S1_KERNEL_DATA_HI,
            attributesLo: S1_KERNEL_DATA_LO,
          });
          const at = { hi: cpu.hi, lo: cpu.lo };
          yield* setMemory.change(cpu, at, 1, SET_EXECUTABLE);
          while (!cpu.store32(at.hi, at.lo, 1, Order.Relaxed)) yield;
        },
      });
    expect(writeText).toThrow(/w\^x: .*writable and executable in one mapping/);
  });

  it('is silent about what kernels do', () => {
    run([SET_READ_ONLY, SET_EXECUTABLE], far);
    run([SET_READ_ONLY, SET_EXECUTABLE, SET_NO_EXECUTE, SET_WRITABLE], far);
    run([SET_READ_ONLY, SET_EXECUTABLE], { ...far, rodata: 'noalias' });
  });
});

/** The block behind an address of 48 bits: its frame, its descriptor and where that is. */
function frameBehind(
  peek: (hi: number, lo: number) => number,
  root: { readonly hi: number; readonly lo: number },
  input: number,
) {
  let table = root;
  for (let level = 0; ; level++) {
    const index = Math.floor(input / 2 ** (39 - 9 * level)) % 512;
    const entry = { hi: table.hi, lo: (table.lo + index * 8) | 0 };
    const word = peek(entry.hi, entry.lo);
    const next = { hi: peek(entry.hi, entry.lo + 4) & 0xffff, lo: word & ~0xfff };
    if (level === 2) return { ...next, entry, word };
    table = next;
  }
}
