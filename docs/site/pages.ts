/** The pages of the repository: which there are, and where each is on the site. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { pages, repository, root } from './places.ts';

const markdown = (folder: string) =>
  readdirSync(root + folder)
    .filter((file) => file.endsWith('.md'))
    .map((file) => folder + file)
    .sort();

/** What is a page, by its path in the repository. */
export const sources: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...markdown('docs/'),
  ...markdown('docs/notes/'),
];

/** Where a page is on the site, as a file of Markdown: what a folder shows first is called index there. */
export const placeOf = (source: string): string => source.replace(/README\.md$/, 'index.md');

const sourceOf = new Map(sources.map((source) => [placeOf(source), source]));

/** The heading of a page. */
export function titleOf(source: string): string {
  const [, title] = /^# (.+)$/m.exec(readFileSync(root + source, 'utf8')) ?? [];
  return (title ?? source).replace(/[`$]/g, '');
}

/**
 * Where a relative link of a page leads: to another page, or to the repository on the web.
 * @param page where the page with the link is on the site
 * @throws Error where there is nothing
 */
export function linkFrom(page: string, href: string): string {
  const source = sourceOf.get(page);
  if (source === undefined || /^([a-z]+:|#|\/)/.test(href)) return href;
  const [path, anchor] = href.split('#') as [string, string?];
  const target = posix.join(dirname(source), path).replace(/\/$/, '');
  const hash = anchor === undefined ? '' : `#${anchor}`;
  if (sources.includes(target)) return `/${placeOf(target)}${hash}`;
  if (!existsSync(root + target)) throw new Error(`${source} links to ${href}, and there is no ${target}`);
  return `${repository}/${statSync(root + target).isDirectory() ? 'tree' : 'blob'}/main/${target}${hash}`;
}

/** Copies the pages and the pictures on them to where the site is made of them. */
export function copyPages(): void {
  for (const source of sources) {
    copy(source, placeOf(source));
    const text = readFileSync(root + source, 'utf8');
    for (const [, path] of text.matchAll(/!\[[^\]]*\]\(([^)\s]+)\)/g)) {
      const picture = posix.join(dirname(source), path);
      copy(picture, picture);
    }
  }
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(join(pages, to)), { recursive: true });
  copyFileSync(root + from, join(pages, to));
}
