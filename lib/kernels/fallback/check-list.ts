import type { Float } from '../../../binding.d.ts';
import { checkFloat, checkLength, checkLike, isArray, refuseType } from './check.ts';

/**
 * Checks of arguments that are lists of arrays, in the order of the C++ twin: the elements are taken out first, as a
 * getter among them may do anything; then come types, then lengths, then contents.
 */

/** So many elements of a list are looked at in any case, later ones if all before them are arrays: it may be sparse. */
const surelyTaken = 64;

/** The elements; what is no list stays as it is. */
export function elements<List extends readonly Float[] | null>(list: List): List {
  if (!isArray(list)) return list;
  const taken: unknown[] = [];
  for (let i = 0; i < list.length; i++) {
    const element = list[i];
    taken.push(element);
    if (i >= surelyTaken && !ArrayBuffer.isView(element)) break;
  }
  return taken as unknown as List;
}

/** A list whose first array fixes the type of all others in the call. */
export function checkFloats(kernel: string, name: string, list: readonly Float[]): void {
  if (!isArray(list)) refuseType(kernel, name, 'an array', list);
  if (list.length === 0) return;
  checkFloat(kernel, `${name}[0]`, list[0]);
  checkElements(kernel, name, list, name, list);
}

/** A later list; the type is float32 when the first one is empty. */
export function checkFloatsLike(
  kernel: string,
  name: string,
  list: readonly Float[],
  firstName: string,
  first: readonly Float[],
): void {
  if (!isArray(list)) refuseType(kernel, name, 'an array', list);
  checkElements(kernel, name, list, firstName, first);
}

export function checkFloatsLikeOrNull(
  kernel: string,
  name: string,
  list: readonly Float[] | null,
  firstName: string,
  first: readonly Float[],
): void {
  if (list === null) return;
  if (!isArray(list)) refuseType(kernel, name, 'an array or null', list);
  checkElements(kernel, name, list, firstName, first);
}

const ofNone = new Float32Array(0);

function checkElements(
  kernel: string,
  name: string,
  list: readonly Float[],
  firstName: string,
  first: readonly Float[],
): void {
  const like = first.length === 0 ? ofNone : first[0];
  for (let i = 0; i < list.length; i++) {
    const array = list[i];
    // The names are made only for what may be wrong.
    if (array?.constructor !== like.constructor || array.length === 0) {
      checkLike(kernel, `${name}[${i}]`, array, `${firstName}[0]`, like);
    }
  }
}

/** As many arrays as `like` has, each as long as the one at its place. */
export function checkLengths(
  kernel: string,
  name: string,
  list: readonly Float[],
  like: readonly Float[],
): void {
  checkLength(kernel, name, list, like.length);
  for (let i = 0; i < list.length; i++) {
    if (list[i].length !== like[i].length) checkLength(kernel, `${name}[${i}]`, list[i], like[i].length);
  }
}
