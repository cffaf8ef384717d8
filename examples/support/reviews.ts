/** Reviews of food from a shop, and what a network takes of a text. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';

/** A review: its words, and 1 where the customer gave five stars. */
export interface Review {
  words: string[];
  great: number;
}

/** Words in small letters, with ! and ?, which say something as well; tags of HTML are none. */
export function wordsOf(text: string): string[] {
  return (
    text
      .toLowerCase()
      .replace(/<[^>]*>/g, ' ')
      .match(/[a-z]+(?:'[a-z]+)*|[!?]/g) ?? []
  );
}

/**
 * 1,000 reviews to test on, as the data have them, and of the others every eighth to see on when to stop. Texts to test on that
 * stand among the others as well, word by word, are not learned.
 * @param limit how many of each part at most
 */
export function loadReviews(limit = Infinity): { train: Review[]; validation: Review[]; test: Review[] } {
  const file = new URL('../data/reviews.csv.gz', import.meta.url);
  const rows: Record<'part' | 'score' | 'review', string>[] = parse(gunzipSync(readFileSync(file)), {
    columns: true,
  });
  const of = (name: string) => rows.filter(({ part }) => part === name);
  const held = new Set(of('test').map(({ review }) => review));
  const read = ({ review, score }: (typeof rows)[number]) => ({
    words: wordsOf(review),
    great: Number(score === 'great'),
  });
  const others = of('train').filter(({ review }) => !held.has(review));
  const parts = {
    train: others.filter((_, i) => i % 8 !== 0),
    validation: others.filter((_, i) => i % 8 === 0),
    test: of('test'),
  };
  const some = (rows: typeof others) => rows.slice(0, limit).map(read);
  return { train: some(parts.train), validation: some(parts.validation), test: some(parts.test) };
}

/** Words as indices: 0 for what fills up, 1 for words that are not known, then the known ones, most frequent first. */
export class Vocabulary {
  readonly words: readonly string[];
  private readonly places: ReadonlyMap<string, number>;

  /** @param least how often a word occurs that is known */
  constructor(reviews: readonly Review[], least: number) {
    const counts = new Map<string, number>();
    for (const word of reviews.flatMap(({ words }) => words)) counts.set(word, (counts.get(word) ?? 0) + 1);
    const known = [...counts]
      .filter(([, count]) => count >= least)
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    this.words = ['', '[unknown]', ...known.map(([word]) => word)];
    this.places = new Map(this.words.map((word, i) => [word, i]));
  }

  encode(words: readonly string[]): Int32Array {
    return Int32Array.from(words, (word) => this.places.get(word) ?? 1);
  }
}
