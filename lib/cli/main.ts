/**
 * The command line, `axpy COMMAND`: finds the command, and says what went wrong in one line. Exit codes: 0 well; 1 a mistake in data,
 * files or numbers; 2 in the command line; 70 one of ours; 130 ended by Ctrl+C.
 */
import { type Command, helpOf, readGiven, UsageError } from './command.ts';
import { red, say, surviveClosedPipes } from './terminal.ts';

/** Each loads when it is called. */
const commands: Readonly<Record<string, { text: string; load(): Promise<{ command: Command }> }>> = {
  train: {
    text: 'learn to predict a column of a CSV file from the others',
    load: () => import('./train.ts'),
  },
  predict: { text: 'predict it for the rows of another file', load: () => import('./predict.ts') },
  inspect: { text: 'show what is in a file of a model or of tensors', load: () => import('./inspect.ts') },
  export: { text: 'write a model as ONNX, npz or weights', load: () => import('./export.ts') },
  dashboard: { text: 'show trainings on a page, live', load: () => import('./dashboard.ts') },
  bench: { text: 'measure what this machine can do', load: () => import('./bench.ts') },
};

function overview(): string {
  const names = Object.keys(commands);
  const width = Math.max(...names.map((name) => name.length));
  return [
    'Usage: axpy COMMAND [options]',
    '',
    ...names.map((name) => `  ${name.padEnd(width)}  ${commands[name].text}`),
    '',
    '  axpy COMMAND --help  its options',
    '  axpy --version       which version this is',
    '',
    'Exit codes: 0 well, 1 a mistake in data or files, 2 in the command line, 70 in axpy, 130 ended by Ctrl+C.',
    'AXPY_DEBUG=1 shows where an error comes from, AXPY_BACKEND and AXPY_THREADS are as for the library.',
    '',
  ].join('\n');
}

/**
 * Whether an error is about what the user gave, rather than about this program: one of the library's, told by its code, as it may be why
 * the library does not load; or of the system's.
 */
function isOfUser(error: unknown): boolean {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return String(code).startsWith('AXPY_') || typeof syscall === 'string';
}

function explain(error: unknown): number {
  const { message = String(error), stack = String(error) } = error as Partial<Error>;
  const complain = (text: string) => process.stderr.write(`${red('axpy:')} ${text}\n`);
  const isDebugged = Boolean(process.env.AXPY_DEBUG);
  if (error instanceof UsageError) {
    complain(`${isDebugged ? stack : message} (axpy --help tells more)`);
    return 2;
  }
  if (isOfUser(error)) {
    complain(isDebugged ? stack : message.replace(/\s*\n\s*/g, ' '));
    return 1;
  }
  complain(`this is a bug of axpy, please report it at https://github.com/axpy-js/axpy/issues\n${stack}`);
  return 70;
}

async function run(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const known = name === 'help' && rest.length > 0;
    if (!known) await say(overview());
    if (known) return run([...rest, '--help']);
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v' || name === 'version') {
    const { version } = await import('../version.ts');
    await say(`${version}\n`);
    return 0;
  }
  if (!Object.hasOwn(commands, name)) {
    throw new UsageError(`expected a command, ${Object.keys(commands).join(', ')}, got ${name}`);
  }
  const { command } = await commands[name].load();
  const given = readGiven(command, rest);
  if (given.values.help) {
    await say(helpOf(command));
    return 0;
  }
  return command.run(given);
}

surviveClosedPipes();
run(process.argv.slice(2))
  .catch(explain)
  .then((code) => {
    process.exitCode = code;
  });
