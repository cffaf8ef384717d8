/**
 * An example is a TypeScript file with its prose in comments that begin with /*: and are Markdown. A page is that prose
 * and, between its pieces, the code that ran; what stands between the lines `// hide` and `// show` is left out.
 */
import { formatNumber, markdownTable } from './format.ts';
import type { Item } from './page.ts';

export interface Block {
  kind: 'prose' | 'code';
  text: string;
}

/** Without the indentation that all lines share, and without empty lines around. */
function dedent(lines: string[]): string {
  const indents = lines.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length);
  const shared = Math.min(...indents);
  return lines
    .map((line) => line.slice(shared).trimEnd())
    .join('\n')
    .replace(/^\n+|\n+$/g, '');
}

/** The Markdown of a comment; a ` * ` that begins every line, empty ones too, is decoration; else it is a list. */
function proseOf(first: string, rest: string[]): string {
  const starred = rest.every((line) => /^\s*\*(\s|$)/.test(line));
  const plain = starred ? rest.map((line) => line.replace(/^(\s*)\* ?/, '$1')) : rest;
  const empty = plain.findIndex((line) => line.trim());
  return `${first.trim()}\n${'\n'.repeat(Math.max(empty, 0))}${dedent(plain)}`.trim();
}

export function parseLiterate(source: string): Block[] {
  const blocks: Block[] = [];
  let code: string[] = [];
  let hidden = false;
  // Within `run`, whose frame is hidden, so that its body stands at the margin of the page.
  let body = false;
  const closeCode = () => {
    const text = dedent(code);
    // Formatters leave one empty line where hidden ones stood between two.
    if (text) blocks.push({ kind: 'code', text: text.replace(/\n{3,}/g, '\n\n') });
    code = [];
  };
  const lines = source.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].trim();
    if (line.startsWith('/*:')) {
      closeCode();
      const start = i;
      while (!lines[i].includes('*/')) {
        if (++i === lines.length) throw new Error(`the prose that begins on line ${start + 1} never ends`);
      }
      const comment = lines.slice(start, i + 1);
      comment[0] = comment[0].slice(comment[0].indexOf('/*:') + 3);
      const last = comment.length - 1;
      if (comment[last].slice(comment[last].indexOf('*/') + 2).trim()) {
        throw new Error(`line ${i + 1}: code after the end of prose`);
      }
      comment[last] = comment[last].slice(0, comment[last].indexOf('*/'));
      // The lone end of a decorated comment.
      if (!comment[last].trim() && last > 0) comment.pop();
      blocks.push({ kind: 'prose', text: proseOf(comment[0], comment.slice(1)) });
    } else if (line === '// hide') {
      if (hidden) throw new Error(`line ${i + 1}: '// hide' where code is hidden already`);
      hidden = true;
    } else if (line === '// show') {
      if (!hidden) throw new Error(`line ${i + 1}: '// show' where nothing is hidden`);
      hidden = false;
    } else if (!hidden) {
      code.push(body ? lines[i].replace(/^ {2}/, '') : lines[i]);
    } else if (/^export (async )?function run\b/.test(line)) {
      body = true;
      code.push('');
    } else if (lines[i] === '}') body = false;
  }
  closeCode();
  if (!/^# \d\d\. \S/.test(blocks[0]?.text ?? ''))
    throw new Error("the first prose begins with no '# NN. Title'");
  return blocks;
}

/** The page before its placeholders are filled in. */
export const template = (blocks: Block[]): string =>
  blocks.map(({ kind, text }) => (kind === 'prose' ? text : `\`\`\`ts\n${text}\n\`\`\``)).join('\n\n');

const placeholder = /\{\{([\w-]+)\}\}/g;

/** What stands literally in a page, in order: all but what a run fills in. */
export const literals = (page: string): string[] => page.split(/\{\{[\w-]+\}\}/);

/** Fills the prose with what a run recorded. Fails on keys that nobody recorded and on records that nobody mentions. */
export function fill(
  blocks: Block[],
  items: ReadonlyMap<string, Item>,
  picturePath: (key: string) => string,
) {
  const mentioned = new Set<string>();
  const shown = (key: string): string => {
    const item = items.get(key);
    if (!item) throw new Error(`the prose mentions {{${key}}}, which the run did not record`);
    mentioned.add(key);
    switch (item.kind) {
      case 'number':
        return formatNumber(item.value, item.digits);
      case 'text':
        return item.text;
      case 'table':
        return markdownTable(item.rows);
      case 'picture':
        return `![${item.picture.alt}](${picturePath(key)})`;
    }
  };
  const filled = blocks.map(({ kind, text }) =>
    kind === 'prose' ? { kind, text: text.replace(placeholder, (_, key) => shown(key)) } : { kind, text },
  );
  const forgotten = [...items].filter(([key, { kind }]) => kind !== 'text' && !mentioned.has(key));
  if (forgotten.length > 0) {
    throw new Error(`recorded, but not in the prose: ${forgotten.map(([key]) => key).join(', ')}`);
  }
  return template(filled);
}
