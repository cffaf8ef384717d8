/** Pictures of a trained network, as SVG by ECharts. */
import { writeFileSync } from 'node:fs';
import type { ConfusionMatrix, Tensor } from 'axpy';
import * as echarts from 'echarts';

type Options = Parameters<ReturnType<typeof echarts.init>['setOption']>[0];

function draw(file: string, width: number, height: number, options: Options): void {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption({ backgroundColor: '#ffffff', animation: false, ...options });
  writeFileSync(file, chart.renderToSVGString());
  chart.dispose();
}

/** How often each true class was taken for each predicted one, in percent of the true class. */
export function drawConfusion(file: string, { counts }: ConfusionMatrix, classes: readonly string[]): void {
  const percent = counts.map((row) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return row.map((count) => (100 * count) / Math.max(total, 1));
  });
  draw(file, 760, 660, {
    title: { text: 'Fashion-MNIST: what the network takes each image for, in %', left: 'center', top: 12 },
    grid: { left: 96, right: 24, top: 56, bottom: 72 },
    xAxis: {
      type: 'category',
      data: [...classes],
      name: 'predicted',
      nameLocation: 'middle',
      nameGap: 44,
      axisLabel: { interval: 0, rotate: 30 },
    },
    yAxis: { type: 'category', data: [...classes], name: 'true', nameLocation: 'start', inverse: true },
    // Most of what there is to see lies below ten percent.
    visualMap: {
      show: false,
      type: 'piecewise',
      pieces: [
        { lt: 0.5, color: '#ffffff' },
        { gte: 0.5, lt: 2, color: '#e8f0fa' },
        { gte: 2, lt: 5, color: '#c9dcf2' },
        { gte: 5, lt: 10, color: '#9dbfe6' },
        { gte: 10, lt: 50, color: '#6a9bd4' },
        { gte: 50, color: '#2f6db5' },
      ],
    },
    series: [
      {
        type: 'heatmap',
        data: percent.flatMap((row, y) => row.map((value, x) => [x, y, Number(value.toFixed(1))])),
        label: { show: true, color: '#202020' },
        itemStyle: { borderColor: '#e0e0e0', borderWidth: 1 },
      },
    ],
  });
}

/**
 * The filters of a first layer, weight [out, height, width, 1], side by side: blue is positive, red negative, each filter
 * scaled to its own largest weight.
 */
export function drawFilters(file: string, weight: Tensor, across = 8): void {
  const [count, height, width] = weight.shape;
  const down = Math.ceil(count / across);
  const cells: [number, number, number][] = [];
  for (let o = 0; o < count; o++) {
    const filter = Array.from(weight.data.subarray(o * height * width, (o + 1) * height * width));
    const largest = filter.reduce((most, w) => Math.max(most, Math.abs(w)), 0) || 1;
    filter.forEach((w, i) => {
      const x = (o % across) * (width + 1) + (i % width);
      const y = Math.floor(o / across) * (height + 1) + Math.floor(i / width);
      cells.push([x, y, w / largest]);
    });
  }
  const side = 22;
  const [columns, rows] = [across * (width + 1) - 1, down * (height + 1) - 1];
  const axis = (size: number) => ({
    type: 'category' as const,
    data: Array.from({ length: size }, (_, i) => i),
    show: false,
  });
  draw(file, columns * side + 32, rows * side + 72, {
    title: { text: `The first layer's ${count} filters, ${height}×${width}`, left: 'center', top: 12 },
    grid: { left: 16, right: 16, top: 56, bottom: 16 },
    xAxis: axis(columns),
    yAxis: { ...axis(rows), inverse: true },
    visualMap: { show: false, min: -1, max: 1, inRange: { color: ['#b5382f', '#ffffff', '#2f6db5'] } },
    series: [{ type: 'heatmap', data: cells, itemStyle: { borderColor: '#d0d0d0', borderWidth: 1 } }],
  });
}
