/** The anchors of headings, as GitHub makes them, of which the site's are the same. */

/** What a heading, as it is read, is called in links. */
export function slug(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replace(/ /g, '-');
}
