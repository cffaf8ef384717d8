/** What a file is by its first bytes, for whoever was given it instead of another. */

interface Kind {
  /** A pattern of the first bytes, in hexadecimal digits. */
  readonly begins: RegExp;
  readonly what: string;
  /** What reads such files. */
  readonly readers?: readonly string[];
}

const tensors = ['loadSafetensors', 'safetensorsHeader', 'loadModel', 'loadWeights', 'loadCheckpoint', 'fit'];

const hexOf = (text: string) =>
  new RegExp(`^${Array.from(text, (letter) => letter.charCodeAt(0).toString(16)).join('')}`);

const kinds: readonly Kind[] = [
  { begins: /^$/, what: 'it is empty' },
  {
    begins: /^.{12}00007b/,
    what: 'it is a safetensors file: loadSafetensors or loadModel reads it',
    readers: tensors,
  },
  { begins: /^934e554d5059/, what: 'it is an array of NumPy: loadNpy reads it', readers: ['loadNpy'] },
  {
    begins: /^504b0[357]/,
    what:
      'it is a zip archive, as numpy.savez and torch.save write them: loadNpz reads arrays of NumPy; weights of PyTorch write by ' +
      'safetensors.torch.save_file(model.state_dict(), path)',
    readers: ['loadNpz'],
  },
  {
    begins: /^800[2-5]/,
    what:
      'it is a pickle, a program of Python that would have to be run: write weights of PyTorch by ' +
      'safetensors.torch.save_file(model.state_dict(), path)',
  },
  {
    begins: /^08[01].(12|1a|22|3a)/,
    what: 'it seems to be a model of ONNX: importOnnx reads it',
    readers: ['importOnnx'],
  },
  { begins: /^89484446/, what: 'it is an HDF5 file, as of Keras: write it as ONNX or safetensors there' },
  { begins: /^1f8b/, what: 'it is compressed by gzip: decompress it first' },
  {
    begins: hexOf('version https://git-lfs'),
    what: 'it is a pointer of Git LFS: git lfs pull brings the file',
  },
  {
    begins: /^((20|0a|0d|09)*)3c(21|3f|68|48)/,
    what: 'it is a page of HTML or XML, as servers send for what they do not have',
  },
];

/** How many bytes tell. */
export const firstBytes = 32;

/** A hint for messages of `op`; '' where a file is of the kind that it reads, or of none that is known. */
export function hintOf(op: string, first: Uint8Array): string {
  const digits = Array.from(first.subarray(0, firstBytes), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );
  const kind = kinds.find(({ begins }) => begins.test(digits));
  return kind === undefined || kind.readers?.includes(op) ? '' : kind.what;
}
