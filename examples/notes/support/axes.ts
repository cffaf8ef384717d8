/** Axes that say what they measure. */

const nameStyle = { fontSize: 13, color: '#303030' };
const common = {
  nameLocation: 'middle' as const,
  nameTextStyle: nameStyle,
  axisLine: { show: true, lineStyle: { color: '#909090' } },
  axisTick: { show: true },
  axisLabel: { color: '#303030', fontSize: 12 },
  splitLine: { lineStyle: { color: '#ececec' } },
};

/** A horizontal axis; its name, with the unit, stands below it. */
export const xAxis = <Options extends object>(name: string, options?: Options) => ({
  type: 'value' as const,
  name,
  nameGap: 32,
  ...common,
  ...options,
});

/** A vertical axis; its name, with the unit, stands beside it, so that labels of up to six characters have room. */
export const yAxis = <Options extends object>(name: string, options?: Options) => ({
  type: 'value' as const,
  name,
  nameGap: 52,
  ...common,
  ...options,
});
