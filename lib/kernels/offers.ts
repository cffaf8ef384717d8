/**
 * Binaries that a program brings along: `axpy/linux-x64` and its like name one by a path that bundlers follow, and offer it
 * here before the library chooses. They are CommonJS, the library may be either, or two of them: the list is a global.
 */
import { warn } from '../platform.ts';
import { version } from '../version.ts';

/** As the files of `scripts/bundle.ts` make it. */
export interface Offer {
  version: string;
  /** As `linux-x64`; `linuxmusl-x64` with musl as its C library. */
  target: string;
  /** The addon itself or, as some bundlers have it, the path of a file. */
  load(): unknown;
}

interface Offers {
  list: Offer[];
  /** Told of what comes once the library has chosen. */
  late?: (offer: Offer) => void;
}

const key = Symbol.for('axpy.binaries');

function offers(): Offers {
  const all = globalThis as { [key]?: Offers };
  all[key] ??= { list: [] };
  return all[key];
}

/** What was offered to this version so far. */
export function readOffers(): Offer[] {
  return offers().list.filter((offer) => offer.version === version);
}

/** From now on what is offered to this version comes too late, as the fallback was chosen, and a warning says so. */
export function refuseOffers(): void {
  const known = new Set(readOffers().map(({ target }) => target));
  offers().late = ({ version: own, target }) => {
    if (own !== version || known.has(target)) return;
    warn(
      `axpy was loaded before axpy/${target} and has chosen the fallback: import axpy/${target} first, or in place of axpy`,
      'AXPY_BACKEND',
      'a binary that comes after the choice is not used',
    );
  };
}
