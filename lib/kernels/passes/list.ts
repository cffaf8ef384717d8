/** A recorded list of calls on its way through the passes. */
import { Storage } from '../../memory.ts';
import type { RecordedCall, Recording } from '../recorder.ts';
import { chainOf } from './calls.ts';
import { Kernel, type Node, Product } from './nodes.ts';

export class List {
  readonly inputs: ReadonlySet<Storage>;
  private readonly wanted: Set<object>;

  private found: Map<object, number[]> | null = null;

  constructor(
    private own: Node[],
    { inputs }: Pick<Recording, 'inputs'>,
    /** What is read after a run. */
    readonly outputs: Storage[],
  ) {
    this.inputs = inputs;
    this.wanted = new Set(outputs);
  }

  /** In the order of the calls. */
  get nodes(): readonly Node[] {
    return this.own;
  }

  set nodes(nodes: readonly Node[]) {
    this.own = [...nodes];
    this.found = null;
  }

  /** The nodes that use each memory by `keyOf`, by their positions, in order, each once; or did before a pass moved them. */
  get uses(): Map<object, number[]> {
    if (this.found !== null) return this.found;
    const found = new Map<object, number[]>();
    const note = (key: object, at: number) => {
      const own = found.get(key);
      if (own === undefined) found.set(key, [at]);
      else if (own[own.length - 1] !== at) own.push(at);
    };
    this.own.forEach((node, at) => {
      for (const key of node.reads) note(key, at);
      for (const key of node.writes) note(key, at);
    });
    this.found = found;
    return found;
  }

  /** Whether nobody sees a memory but the calls: it may be another one, or none. */
  isIntermediate(memory: object): memory is Storage {
    return (
      memory instanceof Storage &&
      memory.array === null &&
      !this.inputs.has(memory) &&
      !this.wanted.has(memory)
    );
  }

  get calls(): RecordedCall[] {
    return this.own.flatMap((node) => node.emit());
  }
}

export function nodeOf(call: RecordedCall): Node {
  const [name, ...args] = call;
  if ((name === 'gemm' || name === 'gemmAccumulate') && args[args.length - 1] === null)
    return new Product(call);
  return chainOf(call) ?? new Kernel(call);
}
