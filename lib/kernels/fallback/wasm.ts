/**
 * An assembler for the little of WebAssembly that the kernels need: functions of i32 parameters without a result, which
 * work on one memory that all modules share. Instructions are functions that return bytes, operands first, so that code
 * reads as expressions do. Opcodes: https://webassembly.github.io/spec/core/binary/instructions.html
 */

export type Code = readonly (number | Code)[];
export type Local = number;

const i32Type = 0x7f;
const v128Type = 0x7b;

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** Signed LEB128. */
function signedLeb(value: number): number[] {
  const bytes = [];
  let rest = value;
  for (; rest < -64 || rest > 63; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest & 0x7f];
}

// ── instructions ────────────────────────────────────────────────────────────────────────────────────────────────────

export const get = (local: Local): Code => [0x20, leb(local)];
export const set = (local: Local, value: Code): Code => [value, 0x21, leb(local)];
const tee = (local: Local, value: Code): Code => [value, 0x22, leb(local)];

export const i32 = {
  const: (value: number): Code => [0x41, signedLeb(value)],
  add: (a: Code, b: Code): Code => [a, b, 0x6a],
  sub: (a: Code, b: Code): Code => [a, b, 0x6b],
  shiftLeft: (a: Code, count: number): Code => [a, i32.const(count), 0x74],
  shiftRight: (a: Code, count: number): Code => [a, i32.const(count), 0x76],
};

/** local += amount */
export const advance = (local: Local, amount: Code): Code => set(local, i32.add(get(local), amount));

/** Runs `body` as often as `count` says, counting it down to 0. */
export function repeat(count: Local, body: Code): Code {
  const skipIfZero = [get(count), 0x45, 0x0d, 0];
  const again = [tee(count, i32.sub(get(count), i32.const(1))), 0x0d, 0];
  return [0x02, 0x40, skipIfZero, 0x03, 0x40, body, again, 0x0b, 0x0b];
}

const simd = (opcode: number): Code => [0xfd, leb(opcode)];
/** Alignment is a hint; 4 bytes hold for any of ours. */
const address = (offset: number): Code => [2, leb(offset)];

const unary = (opcode: number) => (x: Code) => [x, simd(opcode)] as Code;
const binary = (opcode: number) => (a: Code, b: Code) => [a, b, simd(opcode)] as Code;

export const v128 = {
  zero: [simd(12), new Array<number>(16).fill(0)] as Code,
  load: (pointer: Code, offset = 0): Code => [pointer, simd(0), address(offset)],
  store: (pointer: Code, offset: number, value: Code): Code => [pointer, value, simd(11), address(offset)],
  not: unary(77),
  and: binary(78),
  /** a where the bits of b are 0. */
  andNot: binary(79),
  or: binary(80),
  xor: binary(81),
  /** a where the bits of mask are 1, else b. */
  select: (a: Code, b: Code, mask: Code): Code => [a, b, mask, simd(82)],
  /** Four times the same i32. */
  splat: unary(17),
  shuffle: (a: Code, b: Code, bytes: readonly number[]): Code => [a, b, simd(13), bytes],
};

const bytesOf = (array: Float32Array | Float64Array): number[] => Array.from(new Uint8Array(array.buffer));

/** The arithmetic of a float type; comparisons give masks. `fused` is of relaxed SIMD, which not every engine knows. */
function arithmetic(
  constant: (value: number) => number[],
  splat: number,
  first: number,
  comparison: number,
  fused: number,
  [ceil, floor, nearest]: readonly number[],
) {
  return {
    /** A vector of one number. */
    const: (value: number): Code => [simd(12), constant(value)],
    loadSplat: (pointer: Code, offset: number): Code => [pointer, simd(splat), address(offset)],
    abs: unary(first),
    neg: unary(first + 1),
    sqrt: unary(first + 3),
    ceil: unary(ceil),
    floor: unary(floor),
    /** Of two integers the even one. */
    nearest: unary(nearest),
    add: binary(first + 4),
    sub: binary(first + 5),
    mul: binary(first + 6),
    div: binary(first + 7),
    min: binary(first + 8),
    max: binary(first + 9),
    /** b where it is less than a, else a, NaN included; one instruction of a processor, where `min` is many. */
    least: binary(first + 10),
    /** Likewise where it is greater. */
    greatest: binary(first + 11),
    eq: binary(comparison),
    ne: binary(comparison + 1),
    lt: binary(comparison + 2),
    gt: binary(comparison + 3),
    le: binary(comparison + 4),
    ge: binary(comparison + 5),
    fused: (a: Code, b: Code, sum: Code): Code => [a, b, sum, simd(fused)],
  };
}

export type Arithmetic = ReturnType<typeof arithmetic>;

export const f32x4 = arithmetic(
  (x) => bytesOf(new Float32Array(4).fill(x)),
  9,
  224,
  65,
  261,
  [103, 104, 106],
);
export const f64x2 = arithmetic(
  (x) => bytesOf(new Float64Array(2).fill(x)),
  10,
  236,
  71,
  263,
  [116, 117, 148],
);

export const i32x4 = {
  /** A vector of one number. */
  const: (value: number): Code => [simd(12), [...new Uint8Array(new Int32Array(4).fill(value).buffer)]],
  eq: binary(55),
};

export const i64x2 = {
  /** A vector of one small number from 0 on. */
  const: (value: number): Code => [simd(12), [...new Uint8Array(Int32Array.of(value, 0, value, 0).buffer)]],
  add: binary(206),
  shiftLeft: (x: Code, count: number): Code => [x, i32.const(count), simd(203)],
};

/** Between the two: the lower half of a vector of float32, and into it, with zeros above. */
export const widen = unary(95);
export const narrow = unary(94);

// ── functions and modules ───────────────────────────────────────────────────────────────────────────────────────────

/** A function under construction: hands out its parameters and locals. */
export class FunctionBuilder {
  readonly name: string;
  readonly parameters: number;
  code: Code = [];
  readonly #locals: number[] = [];

  constructor(name: string, parameters: number) {
    this.name = name;
    this.parameters = parameters;
  }

  i32(): Local {
    return this.#local(i32Type);
  }

  v128(): Local {
    return this.#local(v128Type);
  }

  #local(type: number): Local {
    return this.parameters + this.#locals.push(type) - 1;
  }

  get body(): Code {
    const locals = this.#locals.map((type) => [1, type]);
    return sized([leb(locals.length), locals, this.code, 0x0b]);
  }
}

function flatten(code: Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') into.push(part);
    else flatten(part, into);
  }
  return into;
}

function sized(code: Code): Code {
  const bytes = flatten(code);
  return [leb(bytes.length), bytes];
}

function list(items: readonly Code[]): Code {
  return [leb(items.length), ...items];
}

function name(text: string): Code {
  return sized(Array.from(text, (letter) => letter.charCodeAt(0)));
}

function section(id: number, items: readonly Code[]): Code {
  return [id, sized(list(items))];
}

/** The module with these functions, all exported, on an imported memory. */
export function assemble(functions: readonly FunctionBuilder[]): Uint8Array<ArrayBuffer> {
  const types = functions.map((f) => [0x60, list(new Array(f.parameters).fill([i32Type])), list([])]);
  const indices = functions.map((_, index) => leb(index));
  const exported = functions.map((f, index) => [name(f.name), 0x00, leb(index)]);
  return Uint8Array.from(
    flatten([
      [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      section(1, types),
      section(2, [[name(''), name('memory'), 0x02, 0x00, 0x01]]),
      section(3, indices),
      section(7, exported),
      section(
        10,
        functions.map((f) => f.body),
      ),
    ]),
  );
}
