/** Links of pages within the repository lead to files that are there, and to headings that these have. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { slug } from '../scripts/anchors.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const docs = (readdirSync(`${root}docs`, { recursive: true }) as string[])
  .map((file) => `docs/${file.replaceAll('\\', '/')}`)
  .filter((file) => file.endsWith('.md') && !file.startsWith('docs/site/'));
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs];

/** Lines without code: fences, what is indented after an empty line outside of lists, and spans. */
function prose(text: string): string[] {
  let fence: string | null = null;
  let isIndented = false;
  let before = '';
  return text.split('\n').map((line) => {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1] ?? null;
    const isCode = fence !== null || mark !== null;
    if (fence === null) fence = mark;
    else if (mark?.startsWith(fence)) fence = null;
    isIndented = /^ {4}/.test(line) && (isIndented || before === '');
    before = line.trim();
    return isCode || (isIndented && !/^ {4}[-*\d ]/.test(line)) ? '' : line;
  });
}

/** What a heading is read as: without the marks of Markdown. */
const words = (heading: string) => heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');

/** The anchors of a page: of one name the second has −1 at its end. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const line of prose(text)) {
    const heading = /^#{1,6}\s+(.+?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const name = slug(words(heading));
    let [own, count] = [name, 0];
    while (anchors.has(own)) own = `${name}-${++count}`;
    anchors.add(own);
  }
  for (const [, id] of text.matchAll(/<a\s[^>]*(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

/** Code and formulas, in which brackets are no links. */
const spans = /(`+)[^`]([\s\S]*?[^`])?\1(?!`)|\$\$[\s\S]*?\$\$|\$(?=\S)[^$\n]+(?<=\S)\$(?!\d)/g;

/** Where links and pictures of a page lead, with what they are called there. */
function linksOf(text: string): string[] {
  const lines = prose(text).join('\n').replace(spans, 'code');
  const inline = [...lines.matchAll(/\]\(\s*<?([^()\s>]+(?:\([^()\s]*\)[^()\s>]*)*)>?(?:\s+"[^"]*")?\s*\)/g)];
  const defined = [...lines.matchAll(/^ {0,3}\[[^\]^]+\]:\s+<?(\S+?)>?(?:\s|$)/gm)];
  const html = [...lines.matchAll(/<(?:a|img)\s[^>]*(?:href|src)="([^"]+)"/g)];
  return [...inline, ...defined, ...html].map(([, target]) => target);
}

/** What is wrong with a link of a page; null for one that leads somewhere, or out of the repository. */
function fault(page: string, link: string): string | null {
  if (/^([a-z][a-z+.-]*:|\/\/)/i.test(link)) return null;
  const [path, anchor] = link.split('#') as [string, string?];
  const target = path === '' ? page : posix.join(dirname(page), decodeURIComponent(path));
  if (path.startsWith('/') || target.startsWith('..')) return 'leaves the repository';
  if (!existsSync(root + target)) return `there is no ${target}`;
  if (anchor === undefined || !target.endsWith('.md')) return null;
  const anchors = anchorsOf(readFileSync(root + target, 'utf8'));
  return anchors.has(decodeURIComponent(anchor)) ? null : `${target} has no heading ${anchor}`;
}

test.each(pages)('links of %s lead somewhere', (page) => {
  const links = linksOf(readFileSync(root + page, 'utf8'));
  const faults = links.flatMap((link) => {
    const wrong = fault(page, link);
    return wrong === null ? [] : [`${link}: ${wrong}`];
  });
  expect(faults).toEqual([]);
});

test('links are found where they are, and nowhere else', () => {
  const text = [
    '# A [page](x.md) of `code`, twice',
    '[one](a.md#b "title"), [`two`](b/c.md), ![picture](d.svg), [long',
    'text](e.md); `[no](link)`, ``[nor` this](one)``, [of (three)](f_(g).md), $a^{[2](no)}$, $3',
    '```md',
    '[no](fence.md)',
    '# no heading',
    '```',
    '',
    '    [no](indented.md)',
    '',
    '- a list',
    '',
    '    - [deeper](list.md)',
    '',
    '[defined]: h.md',
    '<a href="i.md">html</a>',
    '# A page of code, twice!',
  ].join('\n');
  const found = linksOf(text).sort();
  const wanted = ['x.md', 'a.md#b', 'b/c.md', 'd.svg', 'e.md', 'f_(g).md', 'list.md', 'h.md', 'i.md'];
  expect(found).toEqual(wanted.sort());
  expect([...anchorsOf(text)]).toEqual(['a-page-of-code-twice', 'a-page-of-code-twice-1']);
  expect(slug('Ämter & Öl: 3 × 4 (µs), a_b-c')).toBe('ämter--öl-3--4-µs-a_b-c');
});

test('what leads nowhere is told', () => {
  expect(fault('docs/files.md', 'data.md')).toBeNull();
  expect(fault('docs/files.md', 'https://example.org/x')).toBeNull();
  expect(fault('docs/files.md', '../lib')).toBeNull();
  expect(fault('docs/files.md', 'date.md')).toMatch('no docs/date.md');
  expect(fault('docs/files.md', '#nothing')).toMatch('no heading nothing');
  expect(fault('README.md', 'docs/losses.md#several-output')).toMatch('no heading several-output');
  expect(fault('README.md', '../other')).toMatch('leaves');
});
