/**
 * One table of what the tests run: lib/ from the JSON of vitest's V8 coverage, native/ from gcov's. Below coverage/ it leaves
 * the table and, in uncovered.txt, each line that did not run or took not all of its branches.
 *
 * gcov counts each instantiation of a template by itself, and the kernels are compiled once per instruction set. Here a
 * line ran when it ran in any of them, and a branch was taken when any of them took it. Instantiations have different
 * numbers of branches on a line, or many times as many where one is inlined into many functions: what counts is the least
 * number of those that came to the line, two per condition that is written there at most, and the others are laid over
 * it. Branches that only an exception takes are left out.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';

interface Line {
  ran: boolean;
  branches: boolean[];
}
/** By number, below the file's path from the root. */
type Files = Map<string, Map<number, Line>>;

interface Position {
  line: number;
}
interface Istanbul {
  path: string;
  statementMap: Record<string, { start: Position }>;
  s: Record<string, number>;
  branchMap: Record<string, { loc: { start: Position }; locations: { start: Partial<Position> }[] }>;
  b: Record<string, number[]>;
}

interface Gcov {
  files: {
    file: string;
    lines: {
      line_number: number;
      count: number;
      branches: { count: number; throw: boolean }[];
    }[];
  }[];
}

const lineOf = (files: Files, file: string, number: number): Line => {
  const path = relative('.', file);
  const lines = files.get(path) ?? new Map<number, Line>();
  files.set(path, lines);
  const line = lines.get(number) ?? { ran: false, branches: [] };
  lines.set(number, line);
  return line;
};

function readLib(): Files {
  const files: Files = new Map();
  const report: Record<string, Istanbul> = JSON.parse(
    readFileSync('coverage/lib/coverage-final.json', 'utf8'),
  );
  for (const { path, statementMap, s, branchMap, b } of Object.values(report)) {
    for (const [id, { start }] of Object.entries(statementMap)) {
      if (s[id] > 0) lineOf(files, path, start.line).ran = true;
      else lineOf(files, path, start.line);
    }
    for (const [id, { loc, locations }] of Object.entries(branchMap)) {
      locations.forEach(({ start }, index) => {
        const line = lineOf(files, path, start.line ?? loc.start.line);
        line.branches.push(b[id][index] > 0);
        // A line with a branch and no statement of its own, as an operand of `??`.
        if (b[id][index] > 0) line.ran = true;
      });
    }
  }
  return files;
}

function readNative(): Files {
  const files: Files = new Map();
  /** What instantiations have on a line, by their number of branches. */
  type Shapes = Map<number, { ran: boolean; taken: boolean[] }>;
  const shapes = new Map<Line, { shapes: Shapes; conditions: number }>();
  const written = readdirSync('build-coverage', { encoding: 'utf8', recursive: true });
  for (const name of written.filter((name) => name.endsWith('.gcda'))) {
    const json = execFileSync(
      'gcov',
      ['--branch-probabilities', '--json-format', '--stdout', basename(name)],
      {
        cwd: join('build-coverage', dirname(name)),
        encoding: 'utf8',
        maxBuffer: 2 ** 30,
      },
    );
    const report: Gcov = JSON.parse(json);
    for (const { file, lines } of report.files) {
      if (!resolve(file).startsWith(resolve('native'))) continue;
      const source = readFileSync(resolve(file), 'utf8').split('\n');
      for (const { line_number, count, branches } of lines) {
        const line = lineOf(files, resolve(file), line_number);
        line.ran ||= count > 0;
        const own = branches.filter((branch) => !branch.throw).map((branch) => branch.count > 0);
        const conditions = source[line_number - 1].match(/\b(if|for|while|case)\b|\?|&&|\|\|/g)?.length ?? 0;
        const { shapes: ofLine } = shapes.get(line) ?? { shapes: new Map() };
        shapes.set(line, { shapes: ofLine, conditions });
        const shape = ofLine.get(own.length) ?? { ran: false, taken: own };
        ofLine.set(own.length, shape);
        shape.ran ||= count > 0;
        shape.taken = own.map((taken, index) => taken || shape.taken[index]);
      }
    }
  }
  for (const [line, { shapes: ofLine, conditions }] of shapes) {
    const all = [...ofLine.values()].filter(({ ran, taken }) => taken.length > 0 && (ran || !line.ran));
    if (all.length === 0) continue;
    const width = Math.min(2 * Math.max(1, conditions), ...all.map(({ taken }) => taken.length));
    line.branches = Array.from({ length: width }, (_, at) =>
      all.some(({ taken }) => taken.some((own, index) => own && index % width === at)),
    );
  }
  return files;
}

const sum = (files: Files, folder: string) => {
  const totals = { lines: 0, ran: 0, branches: 0, taken: 0 };
  for (const [path, lines] of files) {
    if (folder.endsWith('/') ? !path.startsWith(folder) : dirname(path) !== folder) continue;
    for (const { ran, branches } of lines.values()) {
      totals.lines += 1;
      totals.ran += Number(ran);
      totals.branches += branches.length;
      totals.taken += branches.filter(Boolean).length;
    }
  }
  return totals;
};

const table = ['| folder | lines | ran | branches | taken |', '|---|---:|---:|---:|---:|'];
const uncovered: string[] = [];
const percent = (part: number, whole: number) =>
  whole === 0 ? '' : `${(Math.floor((part / whole) * 1000) / 10).toFixed(1)} %`;
for (const [root, files] of [
  ['lib', readLib()],
  ['native', readNative()],
] as const) {
  const paths = [...files.keys()].sort();
  // With a slash: all that lies below it.
  for (const folder of [...new Set(paths.map((path) => dirname(path))), `${root}/`]) {
    const { lines, ran, branches, taken } = sum(files, folder);
    const name = folder.endsWith('/') ? `**${root}, all**` : folder;
    table.push(`| ${name} | ${lines} | ${percent(ran, lines)} | ${branches} | ${percent(taken, branches)} |`);
  }
  for (const path of paths) {
    const source = readFileSync(path, 'utf8').split('\n');
    for (const [number, { ran, branches }] of [...files.get(path)!].sort(([a], [b]) => a - b)) {
      const taken = branches.filter(Boolean).length;
      if (ran && taken === branches.length) continue;
      const what = ran ? `${taken} of ${branches.length}` : 'not run';
      uncovered.push(`${path}:${number}: ${what}: ${source[number - 1]?.trim()}`);
    }
  }
}
writeFileSync('coverage/table.md', `${table.join('\n')}\n`);
writeFileSync('coverage/uncovered.txt', `${uncovered.join('\n')}\n`);
console.log(table.join('\n'));
console.log('What did not run is in coverage/uncovered.txt, and for lib/ in coverage/lib/index.html.');
