/** Where things are, here and outside. */
import { fileURLToPath } from 'node:url';

/** The checkout, with a slash. */
export const root = fileURLToPath(new URL('../../', import.meta.url));
/** What is made here, and may be thrown away. */
export const build = `${root}docs/site/build/`;
/** The pages as Markdown, as the repository has them and as the reference is written. */
export const pages = `${build}pages/`;
/** The site. */
export const dist = `${build}site/`;
/** Where what is no page can be read. */
export const repository = 'https://github.com/axpy-js/axpy';
