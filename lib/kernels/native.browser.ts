/** In the place of native.ts in the build for browsers, where nobody would look for an addon. */
export function loadNative(): null {
  return null;
}
