/** Layers of well-known networks, in batches that make one call some milliseconds long. */

export interface Layer {
  name: string;
  batch: number;
  /** Height and width of the input, or for a transposed convolution of its output. */
  side: number;
  channels: number;
  outChannels: number;
  kernel: number;
  stride: number;
  padding: number;
  dilation: number;
  groups: number;
  /** Whether images are lines: their height and that of the kernel is 1. */
  flat: boolean;
  /** Whether the layer is the transpose: `channels` are then those of its output. */
  transposed: boolean;
}

type Sizes = readonly [batch: number, side: number, channels: number, outChannels: number, kernel: number];

export function layer(network: string, sizes: Sizes, options: Partial<Layer> = {}): Layer {
  const [batch, side, channels, outChannels, kernel] = sizes;
  const padding = (kernel - 1) >> 1;
  const rest = { stride: 1, padding, dilation: 1, groups: 1, flat: false, transposed: false, ...options };
  const [from, to] = rest.transposed ? [outChannels, channels] : [channels, outChannels];
  const how = [
    rest.transposed ? ' transposed' : '',
    rest.groups === 1 ? '' : rest.groups === channels ? ' depthwise' : ` in ${rest.groups} groups`,
    rest.dilation === 1 ? '' : `, dilation ${rest.dilation}`,
  ].join('');
  const steps = rest.stride === 1 ? '' : `/${rest.stride}`;
  const square = (size: number) => (rest.flat ? size : `${size}×${size}`);
  const name = `${network}: ${square(kernel)}${steps}${how}, ${from} → ${to}, ${batch}×${square(side)}`;
  return { name, batch, side, channels, outChannels, kernel, ...rest };
}

const depthwise = (
  network: string,
  [batch, side, channels]: readonly [number, number, number],
  kernel: number,
  stride = 1,
) => layer(network, [batch, side, channels, channels, kernel], { groups: channels, stride });

export const layers: readonly Layer[] = [
  layer('ResNet-50', [4, 224, 3, 64, 7], { stride: 2 }),
  layer('ResNet-50', [8, 56, 64, 64, 1]),
  layer('ResNet-50', [8, 56, 64, 256, 1]),
  layer('ResNet-50', [8, 56, 256, 64, 1]),
  layer('ResNet-50', [8, 28, 512, 128, 1]),
  layer('ResNet-50', [8, 14, 256, 1024, 1]),
  layer('ResNet-50', [16, 7, 2048, 512, 1]),
  layer('ResNet-50', [8, 56, 256, 512, 1], { stride: 2 }),
  layer('ResNet-50', [8, 56, 128, 128, 3], { stride: 2 }),
  layer('ResNet-50', [8, 28, 256, 256, 3], { stride: 2 }),
  layer('ResNet-50', [16, 14, 512, 512, 3], { stride: 2 }),
  layer('ResNeXt-50', [8, 56, 128, 128, 3], { groups: 32 }),
  layer('ResNeXt-50', [8, 28, 256, 256, 3], { groups: 32 }),
  layer('ResNeXt-50', [16, 14, 512, 512, 3], { groups: 32 }),
  layer('4 groups', [8, 28, 256, 256, 3], { groups: 4 }),
  layer('MobileNetV2', [8, 224, 3, 32, 3], { stride: 2 }),
  depthwise('MobileNetV2', [8, 112, 32], 3),
  depthwise('MobileNetV2', [8, 112, 96], 3, 2),
  depthwise('MobileNetV2', [16, 28, 192], 3),
  depthwise('MobileNetV2', [32, 14, 576], 3),
  depthwise('MobileNetV2', [32, 7, 960], 3),
  layer('MobileNetV2', [8, 112, 16, 96, 1]),
  layer('MobileNetV2', [8, 56, 144, 24, 1]),
  layer('MobileNetV2', [32, 14, 384, 64, 1]),
  layer('MobileNetV2', [32, 7, 960, 160, 1]),
  depthwise('MobileNetV3', [16, 28, 72], 5, 2),
  depthwise('MobileNetV3', [16, 28, 120], 5),
  depthwise('EfficientNet-B0', [8, 56, 144], 5, 2),
  depthwise('EfficientNet-B0', [32, 14, 480], 5),
  layer('EfficientNet-B0', [32, 14, 112, 672, 1]),
  layer('U-Net', [1, 256, 3, 64, 3]),
  layer('U-Net', [1, 256, 64, 64, 3]),
  layer('U-Net', [1, 256, 64, 2, 1]),
  layer('U-Net', [1, 128, 128, 256, 2], { stride: 2, transposed: true }),
  layer('DCGAN', [32, 32, 64, 128, 4], { stride: 2, padding: 1, transposed: true }),
  layer('DCGAN', [32, 64, 3, 64, 4], { stride: 2, padding: 1, transposed: true }),
  layer('LeNet', [256, 28, 1, 6, 5]),
  layer('LeNet', [512, 14, 6, 16, 5], { padding: 0 }),
  layer('LeNet', [64, 14, 32, 64, 5]),
  layer('LeNet', [1024, 5, 16, 120, 5], { padding: 0 }),
  layer('MNIST', [64, 28, 1, 32, 3], { padding: 0 }),
  layer('VGG', [32, 32, 3, 64, 3]),
  layer('VGG', [8, 56, 256, 256, 3]),
];

export const sideOfOutput = ({ side, kernel, stride, padding, dilation }: Layer): number =>
  Math.floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

/** Multiplications and additions of each pass. */
export const operations = (layer: Layer): number => {
  const { batch, channels, outChannels, kernel, groups, flat } = layer;
  return (2 * batch * outChannels * channels * (sideOfOutput(layer) * kernel) ** (flat ? 1 : 2)) / groups;
};
