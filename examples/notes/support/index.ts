/** What an example of the notes needs. */
export { formatNumber, formatSeconds } from './format.ts';
export { main } from './main.ts';
export { Collected, collect, type Page, type Picture, type Row, type Run } from './page.ts';
