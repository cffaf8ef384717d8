/** How values are distributed from step to step: in each column, the darker the more of them. */
import uPlot from 'uplot';
import { figure } from '../../runs/chart.ts';
import type { Distribution } from '../view.ts';
import { axes, height } from './charts.ts';
import { el, styled } from './dom.ts';

function paint(plot: uPlot, list: readonly Distribution[]): void {
  const { ctx, bbox } = plot;
  const heat = styled('--heat');
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const places = list.map(({ step }) => plot.valToPos(step, 'x', true));
  const width = bbox.width / Math.max(1, list.length);
  list.forEach(({ min, max, counts }, i) => {
    const left = i === 0 ? places[0] - width / 2 : (places[i - 1] + places[i]) / 2;
    const right = i + 1 === list.length ? places[i] + width / 2 : (places[i] + places[i + 1]) / 2;
    const most = Math.max(...counts, 1);
    const edge = (k: number) => plot.valToPos(min + (k / counts.length) * (max - min), 'y', true);
    counts.forEach((count, k) => {
      if (count === 0) return;
      // The root, so that tails show.
      ctx.fillStyle = `rgba(${heat},${(0.08 + 0.9 * Math.sqrt(count / most)).toFixed(3)})`;
      const [low, high] = [edge(k), edge(k + 1)];
      ctx.fillRect(
        left,
        Math.min(high, low - 1),
        Math.ceil(right - left),
        Math.max(1, Math.ceil(low - high)),
      );
    });
  });
  ctx.restore();
}

/** Draws that of one run, as wide as `place` is; a single step is one column. */
export function heat(place: HTMLElement, title: string, list: readonly Distribution[]): void {
  const last = list[list.length - 1];
  const told = `mean ${figure(last.mean)}, deviation ${figure(last.std)}, from ${figure(last.min)} to ${figure(last.max)}`;
  const strange = last.notFinite ? `, ${last.notFinite} NaN or infinite` : '';
  place.replaceChildren(el('figcaption', {}, el('b', {}, title), ` ${told}${strange}`));
  const steps = list.map(({ step }) => step);
  const [low, high] = [Math.min(...list.map(({ min }) => min)), Math.max(...list.map(({ max }) => max))];
  const rim = (high - low) / 50 || Math.abs(high) / 10 || 1;
  const side = (steps[steps.length - 1] - steps[0]) / (2 * steps.length) || 1;
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height,
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: [steps[0] - side, steps[steps.length - 1] + side] },
        y: { range: [low - rim, high + rim] },
      },
      axes: axes(),
      series: [{}, { show: false }],
      hooks: { drawAxes: [(plot) => paint(plot, list)] },
    },
    [steps, list.map(({ mean }) => mean)],
    place,
  );
  plot.ctx.canvas.setAttribute('role', 'img');
  plot.ctx.canvas.setAttribute('aria-label', `${title} by step, at the end: ${told}${strange}`);
}
