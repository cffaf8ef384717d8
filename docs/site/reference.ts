/** The reference: what docstrings say of all that the library and its parts export, as pages of Markdown. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Application,
  type CommentDisplayPart,
  CommentTag,
  Converter,
  DeclarationReflection,
  ParameterReflection,
  type ProjectReflection,
  ReferenceReflection,
  type Reflection,
  ReflectionKind,
  SignatureReflection,
} from 'typedoc';
import type { PluginOptions } from 'typedoc-plugin-markdown';
import { categories, categoryOrder, parts } from './parts.ts';
import { repository, root } from './places.ts';

/** The modules whose functions are methods of Tensor: what `lib/ops/index.ts` imports. */
function modulesOfMethods(): string[] {
  const source = readFileSync(`${root}lib/ops/index.ts`, 'utf8');
  return [...source.matchAll(/^import \* as \w+ from '\.\/(.+)';$/gm)].map(
    ([, file]) => `${root}lib/ops/${file}`,
  );
}

/**
 * Types in which declarations are put together, and that nobody has to name: the compiler infers them from what is given, or
 * they are part of one line.
 */
const unnamed: readonly string[] = [
  // What follows from a model, from choices or from arguments.
  'At',
  'LossNamesOf',
  'NamesOf',
  'OutputOf',
  'OutputsOf',
  'RowOf',
  'Trees',
  // What may be given, in one word.
  'AnyLoss',
  'Awaitable',
  'Cause',
  'Float32Values',
  'Layers',
  'Range',
  'Resizing',
  'Rows',
  'RowsByName',
  'Weights',
  // What is the library's own.
  'Argument',
  'Arrays',
  'Gather',
  'Kernels',
  'Known',
  'Norm',
  'Observed',
  'RecurrentKind',
  'Sizes',
  'Steps',
  'functions',
  'hidden',
];

const options: PluginOptions = {
  entryFileName: 'index',
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  expandParameters: true,
  pageTitleTemplates: {
    member: ({ rawName }) => rawName.replace(/<.*>/, ''),
  },
  indexFormat: 'table',
  parametersFormat: 'table',
  interfacePropertiesFormat: 'htmlTable',
  classPropertiesFormat: 'htmlTable',
  typeAliasPropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  tableColumnSettings: { hideSources: true, hideModifiers: true, hideInherited: true, hideOverrides: true },
};

/** Writes the reference into a folder. @throws Error where something exported has no docstring or refers to nothing. */
export async function writeReference(folder: string): Promise<void> {
  const entries = parts();
  const app = await Application.bootstrapWithPlugins({
    name: 'Reference',
    entryPoints: [...entries.values(), ...modulesOfMethods()],
    tsconfig: `${root}docs/site/typedoc.tsconfig.json`,
    plugin: ['typedoc-plugin-markdown'],
    outputs: [{ name: 'markdown', path: folder }],
    readme: 'none',
    githubPages: false,
    disableGit: true,
    basePath: root,
    sourceLinkTemplate: `${repository}/blob/main/{path}`,
    kindSortOrder: ['Module', 'Namespace', 'Class', 'Function', 'Variable', 'Interface', 'TypeAlias'],
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    categorizeByGroup: false,
    categoryOrder: [...categoryOrder],
    groupOrder: [
      ...['Namespaces', 'Classes', 'Functions', 'Variables', 'Interfaces', 'Type Aliases'],
      ...['Constructors', 'Properties', 'Accessors', 'Methods'],
    ],
    defaultCategory: 'Others',
    sortEntryPoints: false,
    requiredToBeDocumented: [
      'Class',
      'Interface',
      'TypeAlias',
      'Function',
      'Variable',
      'Method',
      'GetSignature',
    ],
    intentionallyNotExported: [...unnamed],
    validation: {
      notExported: true,
      notDocumented: true,
      invalidLink: true,
      rewrittenLink: true,
      invalidPath: true,
    },
    logLevel: 'Warn',
    ...options,
  } as object);
  // What classes have of others is known by then, what belongs to which category and group is not.
  app.converter.on(
    Converter.EVENT_RESOLVE_END,
    ({ project }) => {
      giveMethods(project, entries);
      checkNames(project, entries);
      checkWords(project);
      arrange(project);
    },
    -50,
  );
  const project = await app.convert();
  if (project === undefined) throw new Error('typedoc could not read the library');
  app.validate(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('mend what typedoc found');
  await app.generateOutputs(project);
  if (app.logger.hasErrors()) throw new Error('typedoc could not write the reference');
  for (const file of readdirSync(folder, { recursive: true }) as string[]) {
    if (file.endsWith('.md')) polish(join(folder, file));
  }
}

/**
 * Where things are comes last; type parameters of functions, which the signature has, not again. Pages tell the style sheet
 * what they are.
 */
function polish(file: string): void {
  const text = readFileSync(file, 'utf8');
  const place = /^Defined in: \[([^\]:]+):\d+\](\(.+\))$/m.exec(text);
  const rest = text
    .replace(/^Defined in: .*\n\n?/gm, '')
    .replace(/^#+ Type Parameters\n\n\| Type Parameter \|( Default type \|)?\n(\|.*\n)+\n?/gm, (table) =>
      file.includes('/functions/') ? '' : table,
    );
  const source = place === null ? '' : `\n\nSource: [${place[1]}]${place[2]}\n`;
  writeFileSync(
    file,
    `---\npageClass: reference\nprev: false\nnext: false\n---\n\n${rest.trimEnd()}${source}\n`,
  );
}

/** @throws Error for a part whose module says another name than people import, or nothing of what it is. */
function checkNames(project: ProjectReflection, entries: ReadonlyMap<string, string>): void {
  const found = project.getChildrenByKind(ReflectionKind.Module);
  for (const [name, file] of entries) {
    const hasWords = found.some((module) => module.name === name && module.hasComment());
    if (!hasWords) throw new Error(`${file} has to begin with a docstring that ends in @module ${name}`);
  }
}

/**
 * @throws Error for exports of which the same is said: it was taken from the interface that one of them extends, or from the
 * file that passes them on.
 */
function checkWords(project: ProjectReflection): void {
  const twice: string[] = [];
  for (const module of project.getReflectionsByKind(ReflectionKind.Module | ReflectionKind.Namespace)) {
    const first = new Map<string, string>();
    for (const { name, comment, signatures } of (module as DeclarationReflection).children ?? []) {
      const words = ((comment ?? signatures?.[0].comment)?.summary ?? []).map(({ text }) => text).join('');
      const other = first.get(words);
      if (words !== '' && other !== undefined) twice.push(`${module.name}: ${name} and ${other}: ${words}`);
      first.set(words, name);
    }
  }
  if (twice.length > 0) throw new Error(`expected a docstring of its own for each of\n${twice.join('\n')}`);
}

/** Makes methods of Tensor of the functions that they are, with docstrings, and takes the modules of these out again. */
function giveMethods(project: ProjectReflection, entries: ReadonlyMap<string, string>): void {
  const modules = project.getChildrenByKind(ReflectionKind.Module);
  const library = modules.find(({ name }) => name === 'axpy')!;
  const tensor = library.getChildByName('Tensor') as DeclarationReflection;
  delete tensor.extendedTypes;
  delete tensor.typeHierarchy;
  for (const module of modules.filter(({ name }) => !entries.has(name))) {
    for (const op of module.getChildrenByKind(ReflectionKind.Function)) {
      const property = tensor.getChildByName(op.name) as DeclarationReflection | undefined;
      if (property?.kind !== ReflectionKind.Property) continue;
      project.removeReflection(property);
      const method = new DeclarationReflection(op.name, ReflectionKind.Method, tensor);
      method.sources = op.sources;
      method.signatures = op.signatures?.map((signature) => methodOf(signature, method));
      tensor.addChild(method);
      project.registerReflection(method, undefined, undefined);
      for (const signature of method.signatures ?? [])
        project.registerReflection(signature, undefined, undefined);
    }
    // What the library exports of it was taken for a mere reference to here.
    for (const reference of [...(library.children ?? [])]) {
      if (!(reference instanceof ReferenceReflection)) continue;
      const target = reference.getTargetReflectionDeep() as DeclarationReflection;
      if (target.parent !== module) continue;
      module.removeChild(target);
      project.removeReflection(reference);
      target.parent = library;
      library.addChild(target);
    }
    project.removeReflection(module);
  }
}

/** The signature of a function as that of a method of its first argument. */
function methodOf(signature: SignatureReflection, method: DeclarationReflection): SignatureReflection {
  const own = new SignatureReflection(signature.name, ReflectionKind.CallSignature, method);
  own.comment = signature.comment?.clone();
  own.type = signature.type;
  own.parameters = signature.parameters?.slice(1).map((parameter) => {
    const copy = new ParameterReflection(parameter.name, ReflectionKind.Parameter, own);
    copy.comment = parameter.comment?.clone();
    copy.type = parameter.type;
    copy.defaultValue = parameter.defaultValue;
    copy.flags.fromObject(parameter.flags.toObject());
    return copy;
  });
  return own;
}

/** What a class has from another is told there. */
function arrange(project: ProjectReflection): void {
  for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
    for (const child of [...(module.children ?? [])]) {
      if (child.kindOf(ReflectionKind.Class)) removeInherited(project, child);
      categorize(child);
    }
    new Linker(module).link(module);
    module.traverse((child) => {
      tidy(child);
      return true;
    });
  }
}

function removeInherited(project: ProjectReflection, owner: DeclarationReflection): void {
  for (const member of [...(owner.children ?? [])]) {
    const saysNothing = member.overwrites !== undefined && member.name !== 'forward' && !hasOwnWords(member);
    if (member.inheritedFrom !== undefined || saysNothing) project.removeReflection(member);
  }
}

/** Whether an overriding member has a docstring of its own, rather than a copy of the one that it overrides. */
function hasOwnWords(member: DeclarationReflection): boolean {
  const said = (of: Reflection | undefined) => {
    const own = of as DeclarationReflection | undefined;
    const { comment } = own?.signatures?.[0] ?? own?.getSignature ?? own ?? {};
    return (comment?.summary ?? []).map(({ text }) => text).join('');
  };
  if (member.name === 'constructor') return true;
  const own = said(member);
  const before = member.overwrites?.reflection;
  return own !== '' && own !== said(before instanceof DeclarationReflection ? before : before?.parent);
}

/** Leaves of where things are the file of an export, and of what overrides what nothing. */
function tidy(reflection: Reflection): void {
  const own = reflection as DeclarationReflection;
  const exported = reflection.kindOf(ReflectionKind.CallSignature) ? reflection.parent : reflection;
  if (exported?.parent?.kindOf(ReflectionKind.Module | ReflectionKind.Namespace)) {
    for (const source of own.sources ?? []) source.url = `${repository}/blob/main/${source.fileName}`;
  } else delete own.sources;
  delete own.overwrites;
  delete own.implementationOf;
  reflection.traverse((child) => {
    tidy(child);
    return true;
  });
}

function categorize(child: DeclarationReflection): void {
  const comment = child.comment ?? child.signatures?.[0]?.comment;
  const place = child.sources?.[0]?.fileName.replace(/^lib\//, '') ?? '';
  const category = categories.find(([pattern]) => pattern.test(place))?.[1];
  if (comment !== undefined && category !== undefined) {
    comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: category }]));
  }
}

/** Makes links of the names of exports in docstrings. */
class Linker {
  readonly #exports: ReadonlyMap<string, Reflection>;

  constructor(module: DeclarationReflection) {
    this.#exports = new Map((module.children ?? []).map((child) => [child.name, child]));
  }

  link(reflection: Reflection): void {
    const { comment } = reflection;
    if (comment !== undefined) {
      comment.summary = this.#linked(comment.summary, reflection, false);
      for (const block of comment.blockTags) {
        if (block.tag === '@category') continue;
        block.content = this.#linked(block.content, reflection, block.tag === '@throws');
      }
    }
    reflection.traverse((child) => {
      this.link(child);
      return true;
    });
  }

  /** Code that is a name of an export, and of errors also plain words, as links. */
  #linked(parts: readonly CommentDisplayPart[], from: Reflection, areErrors: boolean): CommentDisplayPart[] {
    return parts.flatMap((part): CommentDisplayPart[] => {
      const code = /^`(\w+)`$/.exec(part.text);
      if (part.kind === 'code' && code) return [this.#reference(code[1], from) ?? part];
      if (part.kind !== 'text' || !areErrors) return [part];
      return part.text
        .split(/\b([A-Z]\w*Error)\b/)
        .map((text, i) => (i % 2 === 1 ? this.#reference(text, from) : undefined) ?? { kind: 'text', text });
    });
  }

  #reference(name: string, from: Reflection): CommentDisplayPart | undefined {
    const target = this.#exports.get(name);
    if (target === undefined || isWithin(from, target) || isOwn(name, from)) return undefined;
    return { kind: 'inline-tag', tag: '@linkcode', text: name, target };
  }
}

const isWithin = (inner: Reflection | undefined, outer: Reflection): boolean =>
  inner !== undefined && (inner === outer || isWithin(inner.parent, outer));

/** Whether it is the name of something nearer: a parameter, or a member beside. */
function isOwn(name: string, from: Reflection | undefined): boolean {
  if (from === undefined || from.kindOf(ReflectionKind.Module)) return false;
  const { children, parameters } = from as DeclarationReflection & { parameters?: Reflection[] };
  const signatures = (from as DeclarationReflection).signatures ?? [];
  const near = [
    ...(children ?? []),
    ...(parameters ?? []),
    ...signatures.flatMap((own) => own.parameters ?? []),
  ];
  return near.some((own) => own.name === name) || isOwn(name, from.parent);
}
