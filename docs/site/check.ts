/** Whether the site, as it was built, leads anywhere it should not. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';

/** What a browser fetches by itself, and what it goes to where somebody clicks. */
const fetched = /<(?:script|img|source|iframe|link)\b[^>]*?\s(?:src|href)="([^"]*)"/g;
const clicked = /<a\b[^>]*?\shref="([^"]*)"/g;
const named = /\s(?:id|name)="([^"]*)"/g;
/** What a stylesheet fetches. */
const styled = /(?:url\(|@import\s*)["']?([^"')\s;]+)/g;

const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found]) => plain(found));
const plain = (text: string) =>
  text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");

/**
 * @returns how much was looked at, in words
 * @throws Error that lists links to what is not there, and requests that leave the site
 */
export function checkSite(folder: string): string {
  const base = process.env.DOCS_BASE ?? '/';
  const files = (readdirSync(folder, { recursive: true }) as string[]).map((file) =>
    file.replaceAll('\\', '/'),
  );
  const pages = files.filter((file) => file.endsWith('.html'));
  const texts = new Map(pages.map((page) => [page, readFileSync(join(folder, page), 'utf8')]));
  const anchors = new Map([...texts].map(([page, text]) => [page, new Set(all(text, named))]));
  const faults: string[] = [];
  let count = 0;

  const isThere = (path: string) => existsSync(join(folder, path)) && statSync(join(folder, path)).isFile();
  /** The file that a server gives for a link, or undefined. */
  const fileOf = (page: string, path: string) => {
    if (path === '') return page;
    if (path.startsWith('/') && !path.startsWith(base)) return undefined;
    const own = path.startsWith('/') ? path.slice(base.length) : posix.join(posix.dirname(page), path);
    const file = decodeURIComponent(own);
    return [file, `${file}.html`, posix.join(file, 'index.html')].find(isThere);
  };

  for (const [page, text] of texts) {
    for (const link of all(text, fetched)) {
      count++;
      if (/^data:/.test(link)) continue;
      if (/^([a-z]+:)?\/\//.test(link)) faults.push(`${page} fetches ${link}`);
      else if (fileOf(page, link) === undefined) faults.push(`${page} fetches ${link}, which is not there`);
    }
    for (const link of all(text, clicked)) {
      count++;
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor] = link.split('#') as [string, string?];
      const file = fileOf(page, path);
      if (file === undefined) faults.push(`${page} links to ${link}, which is not there`);
      else if (anchor && !anchors.get(file)?.has(decodeURIComponent(anchor))) {
        faults.push(`${page} links to ${link}, and the page has no such anchor`);
      }
    }
  }
  for (const sheet of files.filter((file) => file.endsWith('.css'))) {
    for (const link of all(readFileSync(join(folder, sheet), 'utf8'), styled)) {
      if (/^([a-z]+:)?\/\//.test(link)) faults.push(`${sheet} fetches ${link}`);
    }
  }
  if (faults.length > 0) throw new Error(`dead ends:\n${[...new Set(faults)].join('\n')}`);
  return `${pages.length} pages, ${count} links that lead somewhere`;
}
