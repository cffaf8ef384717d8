/** The examples that lie in examples/notes/, in their order. */
import { readdirSync, readFileSync } from 'node:fs';
import { type Block, parseLiterate } from './literate.ts';

export interface Example {
  /** '01' */
  number: string;
  /** '01-neuron' */
  name: string;
  /** 'A neuron', from the heading; plain text, as links do not set formulas. */
  title: string;
  url: URL;
  blocks: Block[];
}

function read(url: URL): Block[] {
  try {
    return parseLiterate(readFileSync(url, 'utf8'));
  } catch (error) {
    throw new Error(`${url.pathname}: ${(error as Error).message}`, { cause: error });
  }
}

export function listExamples(): Example[] {
  const folder = new URL('../', import.meta.url);
  const files = readdirSync(folder).filter((file) => /^\d\d-.*\.ts$/.test(file));
  return files.sort().map((file) => {
    const url = new URL(file, folder);
    const blocks = read(url);
    const [heading] = blocks[0].text.split('\n');
    const number = file.slice(0, 2);
    if (!heading.startsWith(`# ${number}. `))
      throw new Error(`${file} begins with another number: '${heading}'`);
    return { number, name: file.slice(0, -3), title: heading.slice(6).replaceAll('$', ''), url, blocks };
  });
}
