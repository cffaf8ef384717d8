/**
 * Where the addon may be. Whoever bundles moves this file, and some bundlers rewrite what a module asks about itself, so
 * nothing is believed: what is found has to be of this package and of this version.
 */
import { attempt, builtin, host, sharesMemory, variable } from '../platform.ts';
import { version } from '../version.ts';
import { readOffers } from './offers.ts';

/** A binary that may serve. */
export interface Source {
  /** What messages call it. */
  readonly name: string;
  /** Its exports. Anything may go wrong. */
  load(): unknown;
  /** What to do about one of another version. */
  readonly remedy: string;
  /** Whether somebody asked for this one, who would not want another. */
  readonly isNamed?: boolean;
}

/** On Linux, whether the C library of this process is musl, for which glibc's binaries are of no use. */
function isMusl(): boolean {
  const maps = attempt(() => builtin('node:fs')!.readFileSync('/proc/self/maps', 'utf8'));
  if (maps !== undefined) return maps.includes('/ld-musl-');
  const header = attempt(() => {
    const report = host!.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
    const before = report.excludeNetwork;
    // It would look up the names of all that the process is connected to.
    report.excludeNetwork = true;
    try {
      return (report.getReport() as { header?: { glibcVersionRuntime?: string } }).header;
    } finally {
      report.excludeNetwork = before ?? false;
    }
  });
  return header !== undefined && header.glibcVersionRuntime === undefined;
}

/** Opens a file for this copy of the library alone: `require` would give all copies the same exports. */
function open(path: string): unknown {
  const module = { exports: {} };
  host!.dlopen!(module, builtin('node:path')!.toNamespacedPath(path));
  return module.exports;
}

/** The file of this code, as the engine says. */
function runningFile(): string | undefined {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_error, calls) => calls;
    const [call] = new Error().stack as unknown as (NodeJS.CallSite | undefined)[];
    return call?.getFileName() ?? undefined;
  } catch {
    // Nothing can be set under --frozen-intrinsics. The text of a stack tells it as well, unless source maps are in use.
    return /^ *at (?:.* \()?(.+?):\d+:\d+\)?$/m.exec(String(new Error().stack))?.[1];
  } finally {
    attempt(() => {
      Error.prepareStackTrace = prepareStackTrace;
      Error.stackTraceLimit = stackTraceLimit;
    });
  }
}

/**
 * The files in which this code may lie as it runs: what CommonJS says, and what the engine says of the call, whichever
 * format a bundler made of it.
 */
function ownFiles(): string[] {
  // Without asking for its type: webpack would answer that, and then not have it.
  const files: unknown[] = [attempt(() => __filename), runningFile()];
  const { fileURLToPath } = builtin('node:url')!;
  const { isAbsolute } = builtin('node:path')!;
  const paths = files.map((file) =>
    typeof file === 'string' && file.startsWith('file:') ? attempt(() => fileURLToPath(file)) : file,
  );
  return [...new Set(paths)].filter((path): path is string => typeof path === 'string' && isAbsolute(path));
}

/** The package.json of the package axpy that a file belongs to or would import. */
function packageOf(file: string): string | undefined {
  const name = 'axpy/package.json';
  const from = builtin('node:module')!.createRequire(file);
  // What stops the first way is a package.json on the way that is none.
  const paths = () => from.resolve.paths(name)!.map((folder) => builtin('node:path')!.join(folder, name));
  return attempt(() => from.resolve(name)) ?? paths().find(builtin('node:fs')!.existsSync);
}

/** What is wrong with a package.json; undefined for one of this package and this version. */
function misfit(path: string): string | undefined {
  try {
    const read = JSON.parse(builtin('node:fs')!.readFileSync(path, 'utf8')) as Record<string, unknown>;
    if (read.name === 'axpy' && read.version === version) return undefined;
    return `this is axpy ${version}, and ${path} is of ${read.name} ${read.version}`;
  } catch (error) {
    return `${path} cannot be read: ${(error as Error).message}`;
  }
}

/** What a subpath hands over: an addon, which another copy may have got as well, or where it is. */
function openOffered(offered: unknown, files: readonly string[]): unknown {
  const given = (Object(offered) as { default?: unknown }).default ?? offered;
  if (typeof given === 'string') {
    const isUrl = given.startsWith('file:');
    const places = isUrl
      ? [builtin('node:url')!.fileURLToPath(given)]
      : files.map((file) => builtin('node:path')!.resolve(file, '..', given));
    const path = places.find(builtin('node:fs')!.existsSync);
    // It may be all of the binary, as text.
    if (path === undefined)
      throw new Error(`the bundler has it as ${given.slice(0, 80)}, which is no file here`);
    return open(path);
  }
  if (typeof (Object(given) as Record<string, unknown>).manifest !== 'function') {
    throw new Error('the bundler has put something else in its place');
  }
  const { cache } = builtin('node:module')!.createRequire(files[0]);
  const path = Object.keys(cache).find((name) => cache[name]?.exports === given);
  return path === undefined ? given : open(path);
}

/**
 * The binaries that may serve, the best one first: what a subpath offers, what `AXPY_BINARY` names by its path (one built
 * in another way, as with a sanitizer), what was built in this checkout, what the package brings for this platform.
 * @param faults receives why there are no more
 */
export function findSources(faults: string[]): Source[] {
  const found: Source[] = [];
  try {
    for (const source of sources(faults)) found.push(source);
  } catch (error) {
    // A host that keeps us from looking, or has less of Node than it says.
    faults.push(`the search for a binary ended: ${(error as Error)?.message}`);
  }
  return found;
}

function* sources(faults: string[]): Generator<Source> {
  const node = host?.versions?.node;
  if (node !== undefined && typeof host!.getBuiltinModule !== 'function') {
    faults.push(`this is Node ${node}, and a binary wants 20.17 or a later 20, or 22.3 or later`);
    return;
  }
  if (typeof host?.dlopen !== 'function' || builtin('node:module')?.createRequire === undefined) {
    faults.push('this host loads no addons of Node');
    return;
  }
  if (!sharesMemory) {
    // Any other could be taken away while a native thread works in it.
    faults.push('there is no SharedArrayBuffer here, in which the addon works');
    return;
  }
  const { existsSync } = builtin('node:fs')!;
  const { dirname, join, resolve } = builtin('node:path')!;
  const files = ownFiles();
  const libc = host.platform !== 'linux' ? '' : isMusl() ? 'musl' : 'glibc';
  const target = `${host.platform}${libc === 'musl' ? libc : ''}-${host.arch}`;

  for (const offer of readOffers()) {
    const name = `axpy/${offer.target}`;
    if (offer.target !== target) faults.push(`${name} was imported, and this is ${target}`);
    else yield { name, load: () => openOffered(offer.load(), files), remedy: 'build it again' };
  }

  const named = variable('AXPY_BINARY');
  if (named !== undefined) {
    const load = () => open(resolve(named));
    yield { name: `AXPY_BINARY=${named}`, load, remedy: 'build it again', isNamed: true };
    return;
  }

  const found = new Set(files.map(packageOf).filter((path) => path !== undefined));
  if (found.size === 0) {
    const place = files[0] ?? 'a place that nothing tells';
    faults.push(
      `there is no package axpy around ${place}: keep it out of the bundle, or import axpy/${target}`,
    );
  }
  for (const manifest of found) {
    const fault = misfit(manifest);
    if (fault !== undefined) {
      faults.push(fault);
      continue;
    }
    const root = dirname(manifest);
    const built = join(root, 'build', 'Release', 'axpy.node');
    const file = join(
      'prebuilds',
      `${host.platform}-${host.arch}`,
      ['axpy', libc, 'node'].filter(Boolean).join('.'),
    );
    const brought = join(root, file);
    const [isBuilt, isBrought] = [built, brought].map(existsSync);
    if (isBuilt) yield { name: built, load: () => open(built), remedy: 'rebuild it with npx cmake-js build' };
    if (isBrought) yield { name: brought, load: () => open(brought), remedy: 'install axpy again' };
    if (!isBuilt && !isBrought) faults.push(`there is no binary for this platform (no ${file} in ${root})`);
  }
}
