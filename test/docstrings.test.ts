/** What the library and its parts export has a docstring, of which the reference is made. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript-5.4';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: object };
const entries = Object.keys(exports)
  .map((key) => join(root, 'lib', key, 'index.ts'))
  .filter((file) => existsSync(file));

const parsed = new Map<string, ts.SourceFile>();
function parse(file: string, text?: string): ts.SourceFile {
  const known = parsed.get(file);
  if (known !== undefined) return known;
  const source = ts.createSourceFile(file, text ?? readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  parsed.set(file, source);
  return source;
}

/** Whether a docstring stands before a node, and is its own rather than that of the file. */
function isDocumented(node: ts.Node, source: ts.SourceFile): boolean {
  const text = source.getFullText();
  const comments = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [];
  return comments.some(({ pos, end }) => {
    const words = text.slice(pos, end);
    return words.startsWith('/**') && !/^\s*(\*\s*)?@(internal|module)\b/m.test(words.slice(3));
  });
}

/** Names that a statement declares. */
function namesOf(node: ts.Statement): string[] {
  if (ts.isVariableStatement(node))
    return node.declarationList.declarations.map(({ name }) => name.getText());
  const { name } = node as { name?: ts.Node };
  return name === undefined ? [] : [name.getText()];
}

/** The exports of a file without a docstring, by name; `only` is of one of them, under the name that it has in the file. */
function bare(file: string, only?: string): string[] {
  const source = parse(file);
  const declared = source.statements.filter((node) => namesOf(node).includes(only ?? ''));
  if (declared.length > 0) return declared.some((node) => isDocumented(node, source)) ? [] : [only!];
  const passed = source.statements.filter(ts.isExportDeclaration).flatMap((node) => {
    if (node.moduleSpecifier === undefined || node.exportClause === undefined) return [];
    const from = join(dirname(file), (node.moduleSpecifier as ts.StringLiteral).text);
    // As one object: what it has, each by itself.
    if (ts.isNamespaceExport(node.exportClause)) {
      return only === undefined || only === node.exportClause.name.text ? [all(from)] : [];
    }
    return node.exportClause.elements
      .filter(({ name }) => only === undefined || name.text === only)
      .map(({ name, propertyName }) => bare(from, (propertyName ?? name).text));
  });
  if (only !== undefined && passed.length === 0)
    throw new Error(`${file} neither declares ${only} nor passes it on`);
  return passed.flat();
}

/** Of a module that is exported as an object: what it declares for others, and what it passes on. */
function all(file: string): string[] {
  const isExported = (node: ts.Statement) =>
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
  const own = parse(file).statements.filter(isExported).flatMap(namesOf);
  return [...own.flatMap((name) => bare(file, name)), ...bare(file)];
}

test.each(entries)('%s exports nothing without a docstring', (file) => {
  expect(bare(file)).toEqual([]);
});

test('what has none is told', () => {
  const file = (name: string, text: string) => parse(join(root, 'nowhere', name), text);
  file(
    'a.ts',
    '/** \n * The file.\n * @module\n */\nexport const a = 1;\n/** b */\nexport interface B {}\nexport type C = B;',
  );
  file(
    'o.ts',
    "/** d */\nexport function d() {}\n/** @internal */\nexport function e() {}\nexport { a as f } from './a.ts';",
  );
  const index = file(
    'index.ts',
    "export { a, type B, type C as G } from './a.ts';\nexport * as o from './o.ts';",
  );
  expect(bare(index.fileName)).toEqual(['a', 'C', 'e', 'a']);
});
