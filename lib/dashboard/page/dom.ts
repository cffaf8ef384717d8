/** Elements, whose texts are texts whatever they say. */

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** An element; an attribute that is false or undefined is left out. `--c` is a property of its style. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('--')) element.style.setProperty(name, String(value));
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

/** Gives an element other content where it is to look otherwise, so that what has the focus stays otherwise. */
export function replace(element: Element, signature: string, make: () => (Node | string)[]): void {
  if (shown.get(element) === signature) return;
  shown.set(element, signature);
  element.replaceChildren(...make());
}

const shown = new WeakMap<Element, string>();

/** What the page's style has for a name, `--ink`. */
export const styled = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const isDark = matchMedia('(prefers-color-scheme: dark)');
