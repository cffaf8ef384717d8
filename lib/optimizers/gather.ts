/** What one call of an update takes: the parameters of a group, of one dtype, that have a gradient, and what belongs to them. */
import { DataError } from '../errors.ts';
import {
  areOwnKernels,
  type Call,
  createProgram,
  type Float,
  makeCall,
  type Program,
} from '../kernels/index.ts';
import { changing } from '../kernels/recorder.ts';
import { allocateBytes } from '../memory.ts';
import { isSharedArrayBuffer } from '../platform.ts';
import { show } from '../shape.ts';
import { floats, type Tensor } from '../tensor.ts';
import type { Hyper } from './hyper.ts';

interface Member {
  readonly parameter: Tensor;
  /** Its row among the scalars of the optimizer. */
  readonly row: number;
  readonly state: readonly Float[];
}

export class Gather {
  /** Of the latest `gather`: a parameter and its state, for each one that took part. Filled again by the next. */
  readonly outs: Float[] = [];
  readonly gradients: Float[] = [];
  /** The rows of those; another array whenever they change, as a recorded call keeps it. */
  rows: Int32Array = new Int32Array(0);

  private readonly gathered: Tensor[] = [];
  /** Whether the latest `gather` found the arrays of the one before. */
  private isSteady = false;
  /** The update of those arrays; null where they cannot be a program's, undefined before it is known. */
  private program: Program | null | undefined;

  constructor(
    private readonly members: readonly Member[],
    /** The names of the state, in its order. */
    readonly slots: readonly string[],
    /** What the rule reads of the group. */
    readonly hyper: Hyper,
  ) {}

  /**
   * Collects the parameters that want a gradient and have one. Makes no garbage while they are the same.
   * @throws DataError where the elements of one are gone.
   */
  gather(): void {
    const { members, outs, gradients, gathered } = this;
    let count = 0;
    let filled = 0;
    let same = true;
    this.isSteady = true;
    for (let i = 0; i < members.length; i++) {
      const { parameter, row, state } = members[i];
      if (!takesPart(parameter)) continue;
      const { size } = parameter;
      const gradient = parameter.gradient!;
      if (parameter.storage.array!.length !== size || gradient.length !== size) {
        throw new DataError(
          `[step] expected parameters and gradients with their elements, got a buffer that was detached (transferred) ` +
            `for one of shape ${show(parameter.shape)}`,
        );
      }
      if (this.rows[count] !== row) same = false;
      const elements = floats(parameter);
      if (outs[filled] !== elements || gradients[count] !== gradient) this.isSteady = false;
      gathered[count] = parameter;
      gradients[count++] = gradient;
      outs[filled++] = elements;
      for (let slot = 0; slot < state.length; slot++) outs[filled++] = state[slot];
    }
    if (same && this.rows.length === count) return;
    this.isSteady = false;
    gathered.length = gradients.length = count;
    outs.length = filled;
    const rowOf = new Map(members.map(({ parameter, row }) => [parameter, row]));
    this.rows = Int32Array.from(gathered, (parameter) => rowOf.get(parameter)!);
  }

  /**
   * Makes the call that the update of what was gathered is. It is kept as a program, which has read its lists, for as long
   * as the arrays in them stay the same.
   */
  run(update: () => Call): void {
    if (!this.isSteady) this.program = undefined;
    else if (this.program === undefined) this.program = programOf(update());
    if (this.isSteady && this.program != null && areOwnKernels()) this.program.run();
    else makeCall(update());
  }

  /** Before the update of what was gathered: backward can tell that it changes, and who reads it. */
  announce(): void {
    for (let i = 0; i < this.gathered.length; i++) changing('step', this.gathered[i].storage);
  }
}

/** A parameter that is frozen stays as it is, whatever gradient it has left. */
function takesPart(parameter: Tensor): boolean {
  if (!parameter.requiresGrad) return false;
  parameter.observeGradient('read');
  return parameter.gradient !== null;
}

/** A call as a program, if all arrays in its lists are on shared memory. What else is not is constant: it is copied there. */
function programOf([kernel, ...args]: Call): Program | null {
  const isHere = ({ buffer }: Float | Int32Array | Uint32Array) => isSharedArrayBuffer(buffer);
  if (!args.every((arg) => !Array.isArray(arg) || arg.every(isHere))) return null;
  const own = args.map((arg) => {
    if (!(arg instanceof Int32Array || arg instanceof Float64Array) || isHere(arg)) return arg;
    const copy = new (arg.constructor as Int32ArrayConstructor)(allocateBytes(arg.byteLength));
    copy.set(arg);
    return copy;
  });
  return createProgram([[kernel, ...own]]);
}
