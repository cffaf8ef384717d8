/** What TypeScript, old and new, says of programs that use the package. */
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './pack.ts';
import { project, run, write } from './support.ts';

/** Where a TypeScript is: the repository's own, or one by the name `typescript-5.4`, there or among the tools (tools.ts). */
function compiler(version: string): string {
  const modules = [root, join(root, 'build/packaging')].map((folder) => join(folder, 'node_modules'));
  for (const name of [`typescript-${version}`, 'typescript']) {
    for (const folder of modules) {
      const path = join(folder, name, 'package.json');
      if (!existsSync(path)) continue;
      const own: string = JSON.parse(readFileSync(path, 'utf8')).version;
      if (own.startsWith(`${version}.`)) return join(folder, name, 'bin/tsc');
    }
  }
  throw new Error(`there is no TypeScript ${version}`);
}

/** Where what is given to `check` lies. */
const programs = join(root, 'test/packaging/types');

export interface Check {
  version: string;
  /** `type` of the project's package.json. */
  type?: 'module' | 'commonjs';
  /** Of test/packaging/types, or `program.mts` and the like, which is program.ts by another name. */
  files: readonly string[];
  options: Record<string, unknown>;
}

/** A compiler that knows the language of 2020, reads every declaration, and is as strict as it is by its own account. */
export const plain = {
  strict: true,
  skipLibCheck: false,
  types: [],
  lib: ['es2020'],
  target: 'es2020',
  outDir: 'out',
};

/** All that makes it stricter, files compiled one by one, and declarations, which have to name what they have from axpy. */
export const strictest = {
  ...plain,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  declaration: true,
};

export const loose = { ...plain, strict: false, esModuleInterop: true };

/** A project of its own, and a function that compiles programs there to `out` and returns what the compiler complains of. */
export async function checker(): Promise<{ folder: string; check: (check: Check) => Promise<string> }> {
  const folder = await project('axpy-types-');
  const check = async ({ version, type = 'commonjs', files, options }: Check) => {
    write(folder, {
      'package.json': JSON.stringify({ name: 'project', private: true, type }),
      'tsconfig.json': JSON.stringify({ compilerOptions: options, files }),
    });
    for (const file of new Set([...files, 'required.cts'])) {
      const source = file.startsWith('program.') ? 'program.ts' : file;
      copyFileSync(join(programs, source), join(folder, file));
    }
    const { code, stdout, stderr } = await run(folder, process.execPath, [compiler(version), '-p', '.']);
    return code === 0 ? '' : stdout + stderr || `exit code ${code}`;
  };
  return { folder, check };
}
