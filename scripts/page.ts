/** The page of `axpy/dashboard` as text, with the library that draws its charts. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = new URL('../', import.meta.url);
const place = (path: string) => fileURLToPath(new URL(path, root));
const source = (path: string) => readFileSync(place(path), 'utf8');

/** Writes lib/dashboard/built.js, where it is not as it should be. @returns its text */
export async function buildPage(): Promise<string> {
  const bundle = async (file: string) => {
    const { outputFiles } = await build({
      entryPoints: [place(`lib/dashboard/page/${file}`)],
      bundle: true,
      minify: true,
      write: false,
      platform: 'browser',
      target: 'es2022',
      format: 'iife',
      legalComments: 'none',
      logLevel: 'warning',
    });
    return outputFiles[0].text;
  };
  const [script, style] = await Promise.all([bundle('main.ts'), bundle('style.css')]);
  const license = `/* With uPlot:\n${source('node_modules/uplot/LICENSE').trim()}\n*/\n`;
  const parts = { page: source('lib/dashboard/page/index.html'), script: license + script, style };
  const text = Object.entries(parts)
    .map(([name, content]) => `export const ${name} = ${JSON.stringify(content)};\n`)
    .join('');
  const target = place('lib/dashboard/built.js');
  if (!existsSync(target) || readFileSync(target, 'utf8') !== text) writeFileSync(target, text);
  return text;
}
