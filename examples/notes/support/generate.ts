/**
 * Runs the examples of the notes and writes docs/notes/: a page for each with its prose, its code, and what came out.
 *
 *     npm run notes                      all
 *     npm run notes -- --only 03         one; also --only 03,07
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { backendInfo } from 'axpy';
import { type Example, listExamples } from './examples.ts';
import { formatNumber } from './format.ts';
import { fill } from './literate.ts';
import { docs } from './main.ts';
import { collect, type Run } from './page.ts';
import { drawSvg } from './picture.ts';

const { values } = parseArgs({ options: { only: { type: 'string' } } });
const examples = listExamples();
const wanted = values.only?.split(',');
const unknown = wanted?.filter((number) => !examples.some((example) => example.number === number));
if (unknown?.length)
  throw new Error(`no example has the number ${unknown.join(', ')}; they are written 01, 02, …`);

function links(index: number): string {
  const link = (example: Example | undefined, arrow: (title: string) => string) =>
    example ? [`[${arrow(example.title)}](${example.name}.md)`] : [];
  return [
    ...link(examples[index - 1], (title) => `← ${title}`),
    '[all](README.md)',
    ...link(examples[index + 1], (title) => `${title} →`),
  ].join(' · ');
}

async function writePage(example: Example, index: number): Promise<void> {
  const { run }: { run: Run } = await import(example.url.href);
  const start = performance.now();
  const { items } = await collect(run, { quick: false });
  const seconds = (performance.now() - start) / 1000;
  const page = fill(example.blocks, items, (key) => `${example.number}-${key}.svg`);
  for (const [key, item] of items) {
    if (item.kind === 'picture') writeFileSync(`${docs}/${example.number}-${key}.svg`, drawSvg(item.picture));
  }
  const source = `../../examples/notes/${example.name}.ts`;
  const footer = `Run it: \`npx tsx examples/notes/${example.name}.ts\`; [source](${source}).`;
  writeFileSync(`${docs}/${example.name}.md`, `${page}\n\n---\n\n${footer}\n\n${links(index)}\n`);
  console.log(`${example.name}  ${formatNumber(seconds, 2)} s`);
}

/** What the notes say: of the paragraph under the title as many whole sentences as make a short entry. */
function claimOf({ blocks }: Example): string {
  const [, paragraph = ''] = blocks[0].text.split(/\n\s*\n/);
  const line = paragraph.replace(/^>\s*/gm, '').replaceAll('\n', ' ').trim();
  const claim = line.replace(/^The notes: /, '').replace(/^[a-z]/, (letter) => letter.toUpperCase());
  const [first, ...rest] = claim.match(/.*?[.!?](?=\s|$)/g) ?? [claim];
  let entry = first;
  for (const sentence of rest) {
    if (entry.length + sentence.length > 260) break;
    entry += sentence;
  }
  return entry;
}

const index = `# The notes, claim by claim

axpy implements the lecture notes *Neural Networks* (A. Chadha, [Distilled Notes for Stanford CS229](https://aman.ai), 2020),
below “the notes”. Each page here takes one thing that they say, shows it on the library's public face, with real data
where there is any to be had, and cites the notes' equations by their numbers, (1) to (11).

Read them in order: each uses what the ones before it showed, and all twenty take an evening. You need TypeScript, and the
mathematics of school; ∂ is explained where it first occurs.

${examples
  .map((example) => `${Number(example.number)}. [${example.title}](${example.name}.md): ${claimOf(example)}`)
  .join('\n')}

Every page is made from one file: its prose is the comments of the example, its code is the code that ran, and its numbers
and pictures are what came out. The tests assert them on both backends.

    npx tsx examples/notes/01-${examples[0].name.slice(3)}.ts    # one example by itself, once \`npm run setup\` has built the library
    npm run notes                           # all, and these pages anew
    npm run notes -- --only 03              # one of them
`;

mkdirSync(docs, { recursive: true });
const { name, threads } = backendInfo();
console.log(`axpy on ${name}, threads ${threads}`);
for (const [i, example] of examples.entries()) {
  if (wanted && !wanted.includes(example.number)) continue;
  try {
    await writePage(example, i);
  } catch (error) {
    throw new Error(`examples/notes/${example.name}.ts: ${(error as Error).message}`, { cause: error });
  }
}
writeFileSync(`${docs}/README.md`, index);
