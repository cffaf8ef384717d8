/** How the site looks, and what becomes of Markdown on the way. */
import { existsSync, readFileSync } from 'node:fs';
import { tex } from '@mdit/plugin-tex';
import katex from 'katex';
import { type DefaultTheme, defineConfig, type MarkdownRenderer } from 'vitepress';
import { slug } from '../../../scripts/anchors.ts';
import { linkFrom, placeOf, sources, titleOf } from '../pages.ts';
import { parts } from '../parts.ts';
import { build, dist, pages, repository } from '../places.ts';

/** Pages by what people come for; those that no list names are of the first but one. */
const groups: readonly (readonly [title: string, pages: readonly string[]])[] = [
  ['Begin', ['README', 'docs/installing', 'docs/notes/README', 'docs/examples']],
  [
    'Use',
    [
      'docs/data',
      'docs/losses',
      'docs/optimizers',
      'docs/files',
      'docs/runs',
      'docs/serving',
      'docs/extending',
    ],
  ],
  ['Networks', ['docs/convolution', 'docs/recurrent', 'docs/attention']],
  ['Speed', ['docs/compiled-steps', 'docs/performance', 'docs/profiling', 'docs/products']],
  [
    'Work on it',
    [
      'CONTRIBUTING',
      'docs/architecture',
      'docs/adding-an-op',
      'docs/attack',
      'docs/coverage',
      'docs/releasing',
      'CHANGELOG',
    ],
  ],
];

const item = (source: string): DefaultTheme.SidebarItem => ({
  text: titleOf(source),
  link: `/${placeOf(source).replace(/(index)?\.md$/, '')}`,
});

function guide(): DefaultTheme.SidebarItem[] {
  const named = new Set(groups.flatMap(([, names]) => names.map((name) => `${name}.md`)));
  const others = sources.filter((source) => !named.has(source) && !source.startsWith('docs/notes/'));
  return groups.map(([text, names]) => ({
    text,
    items: [...names.map((name) => `${name}.md`), ...(text === 'Use' ? others : [])].map(item),
  }));
}

function notes(): DefaultTheme.SidebarItem[] {
  return sources
    .filter((source) => source.startsWith('docs/notes/'))
    .sort()
    .reverse()
    .sort(first)
    .map(item);
}

/** The overview before the pages, which count from 01. */
const first = (a: string, b: string): number =>
  Number(/README/.test(b)) - Number(/README/.test(a)) || (a < b ? -1 : 1);

/** The parts, each with the categories that its page has. */
function reference(): DefaultTheme.SidebarItem[] {
  return [...parts().keys()].map((part) => {
    const link = `/reference/${part}/`;
    const page = `${pages}reference/${part}/index.md`;
    const headings = existsSync(page) ? readFileSync(page, 'utf8').matchAll(/^## (.+)$/gm) : [];
    return {
      text: part,
      link,
      items: [...headings].map(([, text]) => ({ text, link: `${link}#${slug(text)}` })),
    };
  });
}

/** Formulas as GitHub takes them. */
function formulas(md: MarkdownRenderer): void {
  // Of the two there are types for other versions of markdown-it.
  tex(md as never, {
    mathFence: true,
    render: (formula: string, displayMode: boolean) => {
      const html = katex.renderToString(formula, { displayMode, throwOnError: true, strict: 'error' });
      return displayMode ? `<p v-pre>${html}</p>` : `<span v-pre>${html}</span>`;
    },
  });
}

/** What is indented looks like other code; in docstrings it is TypeScript. */
function indented(md: MarkdownRenderer): void {
  md.core.ruler.push('indented code', ({ tokens, env }) => {
    for (const token of tokens.filter(({ type }) => type === 'code_block')) {
      token.type = 'fence';
      token.info = env.relativePath.startsWith('reference/') ? 'ts' : '';
      token.markup = '```';
    }
  });
}

/** Links of the repository lead to pages, or to the repository. */
function links(md: MarkdownRenderer): void {
  md.core.ruler.push('links of the repository', ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.attrGet('href');
      if (token.type === 'link_open' && href !== null)
        token.attrSet('href', linkFrom(env.relativePath, href));
    }
  });
}

export default defineConfig({
  title: 'axpy',
  description: 'Neural networks for Node.js at BLAS speed',
  // Browsers otherwise ask for an icon that is not there.
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  // Where the site is not at the root of its host: DOCS_BASE=/axpy/ npm run docs
  base: process.env.DOCS_BASE ?? '/',
  srcDir: pages,
  outDir: dist,
  cacheDir: `${build}cache`,
  // The index of the search, which loads when somebody searches.
  vite: { build: { chunkSizeWarningLimit: 4000 } },
  markdown: {
    anchor: { slugify: slug },
    theme: { light: 'github-light', dark: 'github-dark' },
    config: (md) => {
      formulas(md);
      indented(md);
      links(md);
    },
  },
  themeConfig: {
    nav: [
      { text: 'Guide', link: '/', activeMatch: '^/(index|docs/(?!notes/)|CONTRIBUTING)' },
      { text: 'Notes', link: '/docs/notes/', activeMatch: '^/docs/notes/' },
      { text: 'Reference', link: '/reference/axpy/', activeMatch: '^/reference/' },
      { text: 'Changelog', link: '/CHANGELOG' },
    ],
    sidebar: { '/': guide(), '/docs/notes/': notes(), '/reference/': reference() },
    outline: { level: [2, 3] },
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: repository }],
  },
});
