/** What the modules of WebAssembly work with: one memory for all of them, lent out by the call. */
import { assemble, type FunctionBuilder } from './wasm.ts';

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** As far as it is used; TypeScript knows it only with the types of a browser. */
interface WebAssemblyApi {
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
  Memory: new (limits: { initial: number }) => Memory;
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Record<string, unknown> };
}

const pageBytes = 65536;

let memory: Memory | undefined;

/**
 * What the first of these modules that this engine accepts exports; null where it accepts none, lacks WebAssembly (under
 * --jitless), or may not compile it, as the policy of a page or of a server at the edge has it.
 */
export function load(variants: readonly FunctionBuilder[][]): Record<string, unknown> | null {
  const { WebAssembly: api } = globalThis as { WebAssembly?: WebAssemblyApi };
  try {
    if (api === undefined) return null;
    for (const functions of variants) {
      const bytes = assemble(functions);
      if (!api.validate(bytes)) continue;
      memory ??= new api.Memory({ initial: 1 });
      return new api.Instance(new api.Module(bytes), { '': { memory } }).exports;
    }
  } catch {
    // It has WebAssembly, and does not let us.
  }
  return null;
}

/** The first byte that nobody has taken. */
let top = 0;

/** Room for `bytes` of the memory, until it is given back, last taken first; a multiple of 64. */
export function take(bytes: number): number {
  const at = top;
  const end = at + Math.ceil(bytes / 64) * 64;
  const missing = end - memory!.buffer.byteLength;
  if (missing > 0) memory!.grow(Math.ceil(missing / pageBytes));
  top = end;
  return at;
}

/** Gives back what `take` gave, and all that was taken after it. */
export function give(at: number): void {
  top = at;
}

let float32 = new Float32Array(0);
let float64 = new Float64Array(0);

/** The memory as float32, until the next `take`, which may detach it. */
export function floats(): Float32Array {
  if (float32.buffer !== memory!.buffer) float32 = new Float32Array(memory!.buffer);
  return float32;
}

/** Likewise as float64. */
export function doubles(): Float64Array {
  if (float64.buffer !== memory!.buffer) float64 = new Float64Array(memory!.buffer);
  return float64;
}
