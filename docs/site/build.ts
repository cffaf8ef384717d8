/** `npm run docs`: the reference and the docs as one site, in `docs/site/build/site`. */
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'vitepress';
import { checkSite } from './check.ts';
import { copyPages } from './pages.ts';
import { dist, pages } from './places.ts';
import { writeReference } from './reference.ts';

rmSync(pages, { recursive: true, force: true });
copyPages();
await writeReference(`${pages}reference`);
await build(fileURLToPath(new URL('.', import.meta.url)));
console.log(`${checkSite(dist)}: docs/site/build/site`);
