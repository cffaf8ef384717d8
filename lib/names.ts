/** Gives a class of the library back the name by which messages call it: a minifier may have taken that. */
export function nameClass(kind: object, name: string): void {
  Object.defineProperty(kind, 'name', { value: name, configurable: true });
}
