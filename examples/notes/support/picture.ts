/** Pictures as SVG by ECharts. */
import * as echarts from 'echarts';
import type { Picture } from './page.ts';

export function drawSvg({ width, height, option }: Picture): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption({
    backgroundColor: '#ffffff',
    animation: false,
    color: ['#2f6db5', '#c0504d', '#e0a030', '#4f9a5a', '#7a5ea8', '#606060'],
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  // ECharts counts the charts and classes of the process in its names; a picture must not depend on the ones before it.
  const names = new Map<string, string>();
  return svg.replace(/\bzr\d+-[\w-]+/g, (name) => {
    if (!names.has(name)) names.set(name, `n${names.size}`);
    return names.get(name)!;
  });
}
