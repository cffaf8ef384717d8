/** `axpy train`: a model of a table, with an honest figure of what it is worth. */
import { NonFiniteError, predict, saveModel } from '../index.ts';
import { type Choices, options, readChoices } from './choices.ts';
import type { Command, Given } from './command.ts';
import { type Description, entry } from './description.ts';
import { checkOutputs } from './files.ts';
import { type Candidate, learnLinear, learnNetwork, type Material } from './learn.ts';
import { type Prepared, prepare } from './prepare.ts';
import { type Result, tell, writeReport } from './result.ts';
import { readTable } from './sample.ts';
import { scalesFor } from './scale.ts';
import { confusionOf, judged, type Scores, scoresOf, trivial } from './scores.ts';
import { readTarget, type Target } from './target.ts';
import { beQuiet, counted, note } from './terminal.ts';
import { Interrupts, openRuns, progressOf } from './watch.ts';

const op = 'train';

function materialOf(target: Target, { columns, parts, inputs }: Prepared): Material {
  return {
    train: { inputs: inputs.train, rows: parts.train },
    validation: { inputs: inputs.validation, rows: parts.validation },
    scales: scalesFor(target, parts.train),
    judge: (outputs) => scoresOf(target, outputs, parts.validation)[judged(target)],
    straight: columns.filter(({ kind }) => kind === 'date').map(({ name }) => name),
  };
}

/** The name of the candidate to keep: what was asked for, else what errs less on the rows to choose by. */
function choose(candidates: ReadonlyMap<string, Candidate>, asked: Choices['model']): string {
  if (asked !== 'auto') return asked;
  const [linear, network] = [candidates.get('linear')!, candidates.get('network')];
  return network !== undefined && network.value < linear.value ? 'network' : 'linear';
}

/** The scores on rows held out, the guess first. */
async function score(
  target: Target,
  { parts, inputs }: Prepared,
  candidates: ReadonlyMap<string, Candidate>,
) {
  const guess = target.task === 'regression' ? 'mean' : 'most frequent';
  const guessed = trivial(target, parts.train, parts.test.length);
  const scores = new Map<string, Scores>([[guess, scoresOf(target, guessed, parts.test)]]);
  for (const [name, { model }] of candidates) {
    scores.set(name, scoresOf(target, await predict(model, inputs.test), parts.test));
  }
  return scores;
}

async function save(
  path: string,
  model: Candidate['model'],
  target: Target,
  { columns }: Prepared,
  scores: Scores,
): Promise<void> {
  const description: Description = {
    format: 1,
    target: target.name,
    ...(target.task === 'classification' ? { classes: target.classes } : {}),
    columns,
    scores,
  };
  await saveModel(path, model, { metadata: { [entry]: JSON.stringify(description) } });
}

/** Learns from what was prepared, saves, and says what it is worth. */
async function learn(
  choices: Choices,
  target: Target,
  prepared: Prepared,
  rows: number,
  interrupts: Interrupts,
): Promise<void> {
  const material = materialOf(target, prepared);
  const candidates = new Map<string, Candidate>([['linear', await learnLinear(op, material)]]);
  const runs = choices.runs === undefined ? undefined : await openRuns(choices.runs, choices, rows);
  let histories: Result['histories'] = [];
  if (choices.model !== 'linear') {
    const callbacks = (member: number) => [
      interrupts.callback,
      progressOf(member, choices.members),
      ...(runs === undefined ? [] : [runs.callbackOf(member)]),
    ];
    const settings = { ...choices, callbacks };
    const network = await learnNetwork(op, material, settings, () => interrupts.isEnded).catch((error) => {
      if (!(error instanceof NonFiniteError) || choices.model !== 'auto') throw error;
      note(`no network: ${error.message}`);
    });
    if (network !== undefined) {
      candidates.set('network', network);
      ({ histories } = network);
    }
  }
  const kept = choose(candidates, choices.model);
  const { model, scale } = candidates.get(kept)!;
  if (scale.said !== undefined) note(`${target.name} is above 0: ${scale.said}`);
  const scores = await score(target, prepared, candidates);
  const own = scores.get(kept)!;
  await save(choices.out, model, target, prepared, own);
  const { parts, inputs } = prepared;
  const matrix = confusionOf(target, await predict(model, inputs.test), parts.test);
  await runs?.finish(own, matrix, target.task === 'classification' ? target.classes : []);
  const result: Result = { choices, target, parts, scores, candidates, kept, matrix, histories };
  await writeReport(result);
  await tell(result);
}

async function run(given: Given): Promise<number> {
  const choices = readChoices(given);
  const { file, out, report } = choices;
  if (given.values.quiet === true) beQuiet();
  await checkOutputs(op, [out, report], [file]);
  const data = await readTable(op, file, choices);
  const drawn =
    data.rows < data.all ? `, of which ${data.rows.toLocaleString('en-US')} were drawn at random` : '';
  note(`${file}: ${counted(data.all, 'row')}${drawn}, ${counted(data.names.length, 'column')}`);
  const target = readTarget(op, data, choices.target, choices.task);
  const prepared = prepare(data, target, choices);
  const interrupts = new Interrupts();
  try {
    await learn(choices, target, prepared, data.rows, interrupts);
  } finally {
    interrupts.done();
  }
  return interrupts.isEnded ? 130 : 0;
}

export const command: Command = {
  name: op,
  files: ['data.csv'],
  text:
    'Learns to predict a column of a CSV file (- for standard input, .gz unpacked) from the others, and says what that is worth on rows\n' +
    'held out, beside a linear model and a guess. The model takes raw columns: see axpy predict.',
  options,
  examples: [
    'axpy train houses.csv --target price --report report.html',
    'axpy predict model.safetensors more.csv > prices.csv',
  ],
  run,
};
