/** Exchanges of a process of its own, the only rank there is: its sums are what it has. Others want the addon. */
import type { Kernels } from '../../../binding.d.ts';
import { checkLength, refuse } from './check.ts';

/** How much of its own a rank can give to a gathering. */
const maxWidth = 16;

function checkAlone(kernel: string, world: Float64Array): void {
  if (world[0] === 1) return;
  refuse(kernel, 'world[0]', 'be 1, as this process is no rank of a job', String(world[0]));
}

export const allGatherBegin: Kernels['allGatherBegin'] = (all, own, world) => {
  checkAlone('allGatherBegin', world);
  checkLength('allGatherBegin', 'all', all, own.length);
  if (own.length > maxWidth) {
    refuse('allGatherBegin', 'own', `have at most ${maxWidth} elements`, String(own.length));
  }
  world[1]++;
  all.set(own);
};

export const allGatherEnd: Kernels['allGatherEnd'] = (all, world) => {
  checkAlone('allGatherEnd', world);
  if (all.length > maxWidth) {
    refuse('allGatherEnd', 'all', `have at most ${maxWidth} elements for each rank`, String(all.length));
  }
};

export const allReduceBegin: Kernels['allReduceBegin'] = (_parts, world) => {
  checkAlone('allReduceBegin', world);
  world[1]++;
};

export const allReduceEnd: Kernels['allReduceEnd'] = (parts, world, _ticket, scale) => {
  checkAlone('allReduceEnd', world);
  if (scale === 1) return;
  for (const part of parts) for (let i = 0; i < part.length; i++) part[i] *= scale;
};

export const broadcast: Kernels['broadcast'] = (_parts, world, root) => {
  checkAlone('broadcast', world);
  if (root >= 1) refuse('broadcast', 'root', 'be below 1', String(root));
  world[1]++;
};

export const scatter: Kernels['scatter'] = (part, all, counts, world, root) => {
  checkAlone('scatter', world);
  checkLength('scatter', 'counts', counts, 1);
  const [own] = counts;
  if (own < 0) refuse('scatter', 'counts[0]', 'be at least 0', String(own));
  if (root >= 1) refuse('scatter', 'root', 'be below 1', String(root));
  checkLength('scatter', 'part', part, own);
  checkLength('scatter', 'all', all, own);
  world[1]++;
  part.set(all);
};
