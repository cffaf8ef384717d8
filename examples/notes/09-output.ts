/*:
# 09. What comes out last

Hidden neurons need an activation ([page 08](08-collapse.md)). The output neuron of a regression had better have none: the
notes advise against a function that never goes below zero there, such as ReLU or the sigmoid, because the true $y$ may well
be negative. A price is not, and [page 01](01-neuron.md) made use of that. A difference of prices is: by how much is a house
dearer, or cheaper, than the middle one of its neighbourhood?

## One network, three outputs

Half of all houses cost less than the middle one, by definition of the middle. The network 6-16-1 is told by how much a house
in Ames has more than the middle one of its neighbourhood, in six respects, and is to tell by how much it costs more, in units
of 100,000 dollars.
*/
import { type ActivationName, Adam, Dense, fit, predict, Sequential, seed, tensor } from 'axpy';
// hide
import { type Row, splitHouses } from '../support/ames.ts';
import { formatNumber, main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  const { kept, held } = splitHouses(1);
  const columns = ['Gr_Liv_Area', 'Year_Built', 'Total_Bsmt_SF', 'Garage_Area', 'Lot_Area', 'Full_Bath'];

  /** The middle value of a column in each neighbourhood, of the houses to learn from. */
  const middles = new Map(
    [...new Set(kept.map((row) => row.Neighborhood))].map((name) => {
      const rows = kept.filter((row) => row.Neighborhood === name);
      const middle = (column: string) =>
        rows.map((row) => Number(row[column])).sort((a, b) => a - b)[rows.length >> 1];
      return [name, Object.fromEntries([...columns, 'Sale_Price'].map((column) => [column, middle(column)]))];
    }),
  );
  /** By how much a house has more than the middle one. */
  const more = (row: Row, column: string) => Number(row[column]) - middles.get(row.Neighborhood)![column];

  const deviation = (values: number[]) => Math.sqrt(tensor(values).variance().item());
  const units = columns.map((column) => deviation(kept.map((row) => more(row, column))));
  const data = (rows: Row[]) => ({
    x: tensor(rows.map((row) => columns.map((column, i) => more(row, column) / units[i]))),
    y: tensor(rows.map((row) => [more(row, 'Sale_Price') / 1e5])),
  });
  const known = held.filter((row) => middles.has(row.Neighborhood));

  async function train(activation: ActivationName) {
    seed(9);
    const model = new Sequential([
      new Dense(columns.length, 16, { activation: 'relu' }),
      new Dense(16, 1, { activation, init: 'xavierNormal' }),
    ]);
    const optimizer = new Adam(model.parameters(), { learningRate: 3e-3 });
    await fit(model, data(kept), { loss: 'mse', optimizer, epochs: page.quick ? 20 : 40 });
    return (await predict(model, data(known).x)).data;
  }

  const outputs = [
    { name: 'none', predicted: await train('linear') },
    { name: 'ReLU', predicted: await train('relu') },
    { name: 'sigmoid', predicted: await train('sigmoid') },
  ];

  /** The root mean square error in dollars, on those of the houses that are wanted. */
  const actual = data(known).y.data;
  function error(predicted: typeof actual, wanted: (y: number) => boolean): number {
    const squares = Array.from(actual, (y, i) => (wanted(y) ? [(y - predicted[i]) ** 2] : [])).flat();
    return 1e5 * Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length);
  }

  const hundreds = (value: number) => 100 * Math.round(value / 100);
  const dollars = (value: number) => formatNumber(hundreds(value));
  page.table(
    'errors',
    outputs.map(({ name, predicted }) => ({
      'at the output': name,
      'lowest prediction': dollars(1e5 * Math.min(...predicted)),
      'error, cheaper half': dollars(error(predicted, (y) => y < 0)),
      'error, dearer half': dollars(error(predicted, (y) => y >= 0)),
      'error, all': dollars(error(predicted, () => true)),
    })),
  );
  // hide
  const [none, relu] = outputs;
  page.number('count', known.length);
  page.number('negative', (100 * actual.filter((y) => y < 0).length) / actual.length, 2);
  page.number('zero', (100 * relu.predicted.filter((value) => value === 0).length) / actual.length, 2);
  page.number('error-none', hundreds(error(none.predicted, () => true)));
  page.number('error-relu', hundreds(error(relu.predicted, () => true)));
  page.number('lowest-none', hundreds(1e5 * Math.min(...none.predicted)));
  page.number('lowest-relu', Math.min(...relu.predicted));
  const panels = [none, relu];
  page.picture('predictions', {
    width: 900,
    height: 460,
    alt: 'Predicted against true differences of prices, without and with ReLU at the output',
    option: {
      title: ['No activation at the output', 'ReLU at the output'].map((text, i) => ({
        text,
        left: i === 0 ? '8%' : '58%',
        textStyle: { fontSize: 15 },
      })),
      grid: panels.map((_, i) => ({ left: i === 0 ? '8%' : '58%', width: '38%', top: 76, bottom: 56 })),
      xAxis: panels.map((_, gridIndex) => ({
        type: 'value',
        gridIndex,
        min: -200,
        max: 300,
        name: 'true difference, thousands of dollars',
        nameLocation: 'middle',
        nameGap: 32,
        splitLine: { show: false },
        axisLine: { onZero: false },
      })),
      yAxis: panels.map((_, gridIndex) => ({
        type: 'value',
        gridIndex,
        min: -200,
        max: 300,
        name: 'predicted, thousands of dollars',
        nameTextStyle: { align: 'left' },
        axisLine: { onZero: false },
      })),
      series: panels.map(({ predicted }, i) => ({
        type: 'scatter',
        xAxisIndex: i,
        yAxisIndex: i,
        symbolSize: 4,
        data: Array.from(actual, (y, house) => [100 * y, Math.round(1000 * predicted[house]) / 10]),
        markLine: {
          silent: true,
          symbol: 'none',
          label: { show: false },
          lineStyle: { type: 'dashed', color: '#8a8a8a' },
          data: [[{ coord: [-200, -200] }, { coord: [300, 300] }]],
        },
      })),
    },
  });
  // show
  /*:
  {{errors}}

  {{predictions}}

  Of the {{count}} houses held out {{negative}} % are cheaper than the middle one. The network without an activation at its
  output goes as low as {{lowest-none}} dollars, and is off by {{error-none}} (root mean square). The one with ReLU stops at
  {{lowest-relu}}, which it says of {{zero}} % of the houses, and is off by {{error-relu}}: as good as the other on the dearer half, and blind to
  the rest. The sigmoid is no better off: it cannot say less than 0, nor more than 1.

  ReLU never says anything below zero, the sigmoid nothing outside of (0, 1). At the output that is a statement about the
  world: take ReLU or softplus where $y$ cannot be negative, the sigmoid where it is a probability, and nothing where it may
  be any number.
  */
  // hide
}

await main(import.meta.url, run);
