/** What an example tells: numbers, texts, tables and pictures under keys that its prose refers to as {{key}}. */
import { seed } from 'axpy';
import type { EChartsOption } from 'echarts';

export type Row = Record<string, string | number>;

export interface Picture {
  /** In pixels. */
  width: number;
  height: number;
  /** What there is to see, for those who cannot. */
  alt: string;
  option: EChartsOption;
}

export interface Page {
  /** Whether smaller sizes will do, as in the tests; what is asserted must hold all the same. */
  readonly quick: boolean;
  /** Records a number, shown with so many significant digits (4 unless told); returns it. */
  number(key: string, value: number, digits?: number): number;
  text(key: string, text: string): void;
  table(key: string, rows: Row[]): void;
  picture(key: string, picture: Picture): void;
  /** A number recorded before. */
  value(key: string): number;
}

export type Run = (page: Page) => void | Promise<void>;

export type Item =
  | { kind: 'number'; value: number; digits: number }
  | { kind: 'text'; text: string }
  | { kind: 'table'; rows: Row[] }
  | { kind: 'picture'; picture: Picture };

/** A page that keeps what it is told, in the order in which it came. */
export class Collected implements Page {
  readonly items = new Map<string, Item>();

  constructor(readonly quick: boolean) {}

  number(key: string, value: number, digits = 4): number {
    this.#add(key, { kind: 'number', value, digits });
    return value;
  }

  text(key: string, text: string): void {
    this.#add(key, { kind: 'text', text });
  }

  table(key: string, rows: Row[]): void {
    this.#add(key, { kind: 'table', rows });
  }

  picture(key: string, picture: Picture): void {
    this.#add(key, { kind: 'picture', picture });
  }

  value(key: string): number {
    return this.#get(key, 'number').value;
  }

  /** The rows of a table recorded before. */
  rows(key: string): Row[] {
    return this.#get(key, 'table').rows;
  }

  #get<K extends Item['kind']>(key: string, kind: K): Extract<Item, { kind: K }> {
    const item = this.items.get(key);
    if (item?.kind !== kind) throw new Error(`no ${kind} '${key}' has been recorded`);
    return item as Extract<Item, { kind: K }>;
  }

  #add(key: string, item: Item): void {
    if (!/^[\w-]+$/.test(key))
      throw new Error(`the key '${key}' has other characters than letters, digits, _ and -`);
    if (this.items.has(key)) throw new Error(`'${key}' has been recorded twice`);
    this.items.set(key, item);
  }
}

/** Runs an example and returns what it told; from the same seed each time, whatever ran before. */
export async function collect(run: Run, { quick = true } = {}): Promise<Collected> {
  seed(1);
  const page = new Collected(quick);
  await run(page);
  return page;
}
