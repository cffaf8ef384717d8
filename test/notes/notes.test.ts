/** The pages of the notes: how they are made from the examples, and that those in docs/notes/ are up to date. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { listExamples } from '../../examples/notes/support/examples.ts';
import { formatNumber, markdownTable } from '../../examples/notes/support/format.ts';
import { fill, literals, parseLiterate, template } from '../../examples/notes/support/literate.ts';
import { Collected } from '../../examples/notes/support/page.ts';

const source = `/*: # 01. A title

    It begins.
*/
import { tensor } from 'axpy';

// hide
import { main } from './support/index.ts';
// show

/*:
 * - a list
 *   that goes on
 */
// hide
export async function run(page) {
  // show
  const x = tensor([1]);

  // hide
  page.number('x', 1);
  // show

  if (x) {
    x.exp();
  }

  /*: It is {{x}}.

      * one
      * two
  */
  // hide
}
await main(import.meta.url, run);
`;

describe('parseLiterate', () => {
  test('splits prose from code, dedents both and hides what is hidden', () => {
    expect(parseLiterate(source)).toEqual([
      { kind: 'prose', text: '# 01. A title\n\nIt begins.' },
      { kind: 'code', text: "import { tensor } from 'axpy';" },
      { kind: 'prose', text: '- a list\n  that goes on' },
      { kind: 'code', text: 'const x = tensor([1]);\n\nif (x) {\n  x.exp();\n}' },
      { kind: 'prose', text: 'It is {{x}}.\n\n* one\n* two' },
    ]);
  });

  test('sets the body of run at the margin, where imports and body are one block of code', () => {
    const [, code] = parseLiterate(
      `/*: # 01. A title */\nimport { a } from 'a';\n// hide\nexport async function run(page) {\n  // show\n  if (a) {\n    a();\n  }\n  // hide\n}\n// show\na();`,
    );
    expect(code.text).toBe("import { a } from 'a';\n\nif (a) {\n  a();\n}\na();");
  });

  test.each([
    ['no title', 'const x = 1;', 'begins with no'],
    ['prose without an end', '/*: # 01. A title', 'never ends'],
    ['code behind prose', '/*: # 01. A title */ const x = 1;', 'line 1: code after'],
    ['hide in hidden code', '/*: # 01. A title */\n// hide\n// hide', "line 3: '// hide'"],
    ['show in shown code', '/*: # 01. A title */\n// show', "line 2: '// show'"],
  ])('refuses %s', (_, text, message) => {
    expect(() => parseLiterate(text)).toThrow(message);
  });
});

describe('fill', () => {
  const blocks = parseLiterate(
    '/*: # 01. A title\n\n{{a}} and {{b}}\n\n{{c}}\n\n{{d}} */\nconst key = "{{a}}";',
  );
  const filled = (keys: string) => {
    const page = new Collected(true);
    if (keys.includes('a')) page.number('a', -0.123456, 3);
    if (keys.includes('b')) page.text('b', 'a word');
    if (keys.includes('c')) page.table('c', [{ n: 4, what: 'a|b' }]);
    if (keys.includes('d')) page.picture('d', { width: 1, height: 1, alt: 'a line', option: {} });
    if (keys.includes('e')) page.number('e', 1);
    return fill(blocks, page.items, (key) => `01-${key}.svg`);
  };

  test('puts numbers, texts, tables and pictures where the prose has their keys, not into code', () => {
    expect(filled('abcd')).toBe(
      '# 01. A title\n\n−0.123 and a word\n\n| n | what |\n|---:|---|\n| 4 | a\\|b |\n\n![a line](01-d.svg)\n\n' +
        '```ts\nconst key = "{{a}}";\n```',
    );
  });

  test('fails on a key that nobody recorded and on a record that nobody mentions', () => {
    expect(() => filled('abc')).toThrow('{{d}}');
    expect(() => filled('abcde')).toThrow('not in the prose: e');
  });
});

test('a page refuses two records of one key, and reads numbers back', () => {
  const page = new Collected(true);
  page.number('x', 3);
  expect(page.value('x')).toBe(3);
  expect(() => page.value('y')).toThrow("no number 'y'");
  expect(() => page.text('x', 'again')).toThrow('twice');
});

test.each([
  [0, '0'],
  [12288, '12,288'],
  [0.84136, '0.8414'],
  [-63.25, '−63.25'],
  [181234.7, '181,235'],
  [3.14e-13, '3.14 × 10⁻¹³'],
  [Number.POSITIVE_INFINITY, '∞'],
])('the number %d is written %s', (value, text) => {
  expect(formatNumber(value)).toBe(text);
});

test('a table sets columns of numbers, also with units, to the right', () => {
  expect(markdownTable([{ a: 'x', b: '3 ms' }]).split('\n')[1]).toBe('|---|---:|');
});

describe('docs/notes', () => {
  const examples = listExamples();
  test.each(examples.map(({ name, title, blocks }) => [name, title, blocks] as const))(
    '%s.md has the prose and the code of its example (npm run notes writes it anew)',
    (name, title, blocks) => {
      const page = readFileSync(new URL(`../../docs/notes/${name}.md`, import.meta.url), 'utf8');
      // Placeholders stand in prose alone, so the pieces between them hold all of the code.
      let from = 0;
      for (const piece of literals(template(blocks))) {
        const at = page.indexOf(piece, from);
        expect(at, `of ${name}.md lacks: ${piece}`).toBeGreaterThanOrEqual(from);
        from = at + piece.length;
      }
      const index = readFileSync(new URL('../../docs/notes/README.md', import.meta.url), 'utf8');
      expect(index).toContain(`[${title}](${name}.md)`);
    },
  );
});
