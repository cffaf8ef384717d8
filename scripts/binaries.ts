/** The binaries that the package brings: by target, which is a subpath of the package too, the file under prebuilds/. */
export const binaries: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64/axpy.glibc.node',
  'linuxmusl-x64': 'linux-x64/axpy.musl.node',
  'linux-arm64': 'linux-arm64/axpy.glibc.node',
  'linuxmusl-arm64': 'linux-arm64/axpy.musl.node',
  'win32-x64': 'win32-x64/axpy.node',
  'darwin-arm64': 'darwin-arm64/axpy.node',
  'darwin-x64': 'darwin-x64/axpy.node',
};
