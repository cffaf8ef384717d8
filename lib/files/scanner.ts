/** Text of a header that is read in one pass, by a grammar that knows no more than the format has. */
import type { FormatError } from '../errors.ts';

export abstract class Scanner {
  protected at = 0;

  /** @param spaces what may stand between the parts of the text */
  constructor(
    protected readonly text: string,
    private readonly spaces: string,
  ) {}

  /** That something else is expected here. */
  abstract error(expected: string): FormatError;

  /** What comes next, for messages. */
  protected get rest(): string {
    return this.at < this.text.length ? JSON.stringify(this.text.slice(this.at, this.at + 20)) : 'the end';
  }

  protected space(): void {
    while (this.at < this.text.length && this.spaces.includes(this.text[this.at])) this.at++;
  }

  /** Whether this comes next, which is then passed. */
  has(mark: string): boolean {
    this.space();
    if (this.text[this.at] !== mark) return false;
    this.at++;
    return true;
  }

  expect(mark: string): void {
    if (!this.has(mark)) throw this.error(JSON.stringify(mark));
  }

  end(): void {
    this.space();
    if (this.at < this.text.length) throw this.error('the end');
  }
}
