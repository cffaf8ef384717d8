/** How PyTorch calls the tensors of layers, and in which order it has their numbers. */
import { ArgumentError } from '../errors.ts';
import { Activation } from '../layers/activation.ts';
import { BatchNorm } from '../layers/batchNorm.ts';
import { Block } from '../layers/block.ts';
import { Convolution } from '../layers/convolution.ts';
import { Dense } from '../layers/dense.ts';
import { Dropout } from '../layers/dropout.ts';
import { Embedding } from '../layers/embedding.ts';
import { Flatten } from '../layers/flatten.ts';
import type { ExampleShape, Layer } from '../layers/layer.ts';
import { LayerNorm } from '../layers/layerNorm.ts';
import { MultiHeadAttention } from '../layers/multiHeadAttention.ts';
import { Recurrent } from '../layers/recurrent.ts';
import { RMSNorm } from '../layers/rmsNorm.ts';
import {
  denseFromChannelsFirst,
  denseToChannelsFirst,
  fromChannelsFirst,
  toChannelsFirst,
} from '../ops/channels.ts';
import { reshape } from '../ops/reshape.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** A tensor of a model as another library has it. */
export interface Foreign {
  readonly name: string;
  /** Its shape there, for one here. */
  shape(own: Shape): Shape;
  fromForeign(x: Tensor): Tensor;
  toForeign(x: Tensor): Tensor;
}

const same = <Value>(x: Value): Value => x;

/** What is the same there. */
export const unchanged = { shape: same<Shape>, fromForeign: same<Tensor>, toForeign: same<Tensor> };

const channelsFirst = {
  shape: ([out, ...rest]: Shape) => [out, ...rest.slice(-1), ...rest.slice(0, -1)],
  fromForeign: fromChannelsFirst,
  toForeign: toChannelsFirst,
};

/** Names of buffers that differ. */
const names = new Map([
  ['runningMean', 'running_mean'],
  ['runningVariance', 'running_var'],
]);

/**
 * What a parameter of a recurrent layer is called: `cells.3.weightIh` is `weight_ih_l1_reverse` where there are two directions.
 * Null for all others.
 */
function nameInCell(name: string, layers: ReadonlyMap<string, Layer>): string | null {
  const [, path = '', cell, what, from] = /^(.*\.)?cells\.(\d+)\.(weight|bias)(Ih|Hh)$/.exec(name) ?? [];
  const layer = layers.get(path.slice(0, -1));
  if (cell === undefined || !(layer instanceof Recurrent)) return null;
  const directions = layer.bidirectional ? 2 : 1;
  const end = Number(cell) % directions === 1 ? '_reverse' : '';
  return `${path}${what}_${from.toLowerCase()}_l${Math.floor(Number(cell) / directions)}${end}`;
}

/** Names of the tensors of attention. */
const namesInAttention = new Map([
  ['inProjWeight', 'in_proj_weight'],
  ['qProjWeight', 'q_proj_weight'],
  ['kProjWeight', 'k_proj_weight'],
  ['vProjWeight', 'v_proj_weight'],
  ['inProjBias', 'in_proj_bias'],
  ['outProjWeight', 'out_proj.weight'],
  ['outProjBias', 'out_proj.bias'],
]);

/** What a parameter of attention is called, with the name of attention itself in a block; null for all others. */
function nameInAttention(name: string, layers: ReadonlyMap<string, Layer>): string | null {
  const [, path = '', own = ''] = /^(.*\.)?(\w+)$/.exec(name) ?? [];
  const foreign = namesInAttention.get(own);
  if (foreign === undefined || !(layers.get(path.slice(0, -1)) instanceof MultiHeadAttention)) return null;
  const [, before, which = ''] = /^(.*\.|)(selfAttention|crossAttention)\.$/.exec(path) ?? [];
  if (before === undefined || !(layers.get(before.slice(0, -1)) instanceof Block)) return path + foreign;
  return `${before}${which === 'selfAttention' ? 'self_attn' : 'multihead_attn'}.${foreign}`;
}

/** What PyTorch keeps beside, and nobody here needs. */
export const ignored = /(^|\.)num_batches_tracked$/;

/** The last axis in the order of an image that was flattened there. */
function flattened(image: Shape): Omit<Foreign, 'name'> {
  const rows = (x: Tensor) => (x.rank === 1 ? reshape(x, [1, x.size]) : x);
  return {
    shape: same,
    fromForeign: (x) => reshape(denseFromChannelsFirst(rows(x), image), x.shape),
    toForeign: (x) => reshape(denseToChannelsFirst(rows(x), image), x.shape),
  };
}

/** The images that chains flatten, by the layer whose parameters lie along them; null where the size is not known. */
class Flattened {
  readonly images = new Map<Layer, Shape | null>();
  /** The layers in chains. */
  readonly seen = new Set<Layer>();
  private image: Shape | null | undefined;
  /**
   * Whether a layer before took images or sequences with channels, which come first there; false after one whose output has
   * its features last there as well; undefined where nobody tells.
   */
  private hasChannels: boolean | undefined;

  visit(layer: Layer, input: ExampleShape): ExampleShape {
    const chain = layer.chain();
    if (chain !== null) {
      let shape = input ?? chain.inputShape;
      for (const inner of chain.layers) shape = this.visit(inner, shape);
      return shape;
    }
    this.seen.add(layer);
    if (layer instanceof Flatten) {
      const { hasChannels } = this;
      const isImage = input === undefined || input.length === 3 || (input.length === 2 && hasChannels);
      if (isImage && hasChannels !== false && this.image === undefined) this.image = input ?? null;
    } else if (this.image !== undefined && !(layer instanceof Activation || layer instanceof Dropout)) {
      const isAlong =
        layer instanceof Dense ||
        layer instanceof BatchNorm ||
        layer instanceof LayerNorm ||
        layer instanceof RMSNorm;
      if (isAlong) this.images.set(layer, this.image);
      if (!isAlong || layer instanceof Dense) this.image = undefined;
    }
    if (layer instanceof Convolution) this.hasChannels = true;
    else if (layer instanceof Embedding || layer instanceof Recurrent) this.hasChannels = false;
    return layer.outputShape(input);
  }
}

/**
 * The tensors of a model as PyTorch has them, by their names here: `running_mean`, convolutions with channels first, what
 * follows a Flatten with inputs in the order channels, height, width.
 * @param images the sizes [height, width, channels] before a Flatten, by the name of the parameter, where the model is no
 *   Sequential that tells; null where nothing is flattened
 * @throws ArgumentError for what follows an image whose size nobody tells, or may do so
 */
export function pytorch(
  op: string,
  model: Layer,
  images: Readonly<Record<string, Shape | null>>,
): (name: string) => Foreign {
  const found = new Flattened();
  found.visit(model, undefined);
  const layers = new Map(model.namedLayers());
  const channels = [...layers.values()].map((layer) =>
    layer instanceof Convolution ? layer.outChannels : 0,
  );
  const most = channels.reduce((a, b) => Math.max(a, b), 0) || Infinity;
  /** Whether it takes more than there are channels, from nobody knows where: all pixels of an image, most likely. */
  const mayFollowImage = (layer: Layer | undefined) =>
    layer instanceof Dense && !found.seen.has(layer) && layer.inFeatures > most;
  return (name) => {
    const inCell = nameInCell(name, layers) ?? nameInAttention(name, layers);
    if (inCell !== null) return { name: inCell, ...unchanged };
    const dot = name.lastIndexOf('.');
    const [path, own] = [name.slice(0, Math.max(dot, 0)), name.slice(dot + 1)];
    const layer = layers.get(path);
    const foreign = layer instanceof BatchNorm ? (names.get(own) ?? own) : own;
    const kept = { name: path === '' ? foreign : `${path}.${foreign}`, ...unchanged };
    if (Object.hasOwn(images, name)) {
      const given = images[name];
      return given === null ? kept : { ...kept, ...flattened(given) };
    }
    if (layer instanceof Convolution && own === 'weight') return { ...kept, ...channelsFirst };
    if (layer instanceof Dense && own === 'bias') return kept;
    const image = layer && (mayFollowImage(layer) ? null : found.images.get(layer));
    if (image === undefined) return kept;
    if (image !== null) return { ...kept, ...flattened(image) };
    throw new ArgumentError(
      `[${op}] expected to know the size of what is flattened before ${name}: give Sequential an inputShape, or this ` +
        `option: flattened: { '${name}': [height, width, channels] }, or null there if nothing is`,
    );
  };
}
