/** The bad calls of every declaration: class, code and message. */
import { describe, expect, test } from 'vitest';
import * as errors from '../lib/errors.ts';
import { declarations } from './cases/index.ts';

const classOf: Readonly<Record<string, abstract new (...args: never[]) => Error>> = {
  AXPY_SHAPE: errors.ShapeError,
  AXPY_DTYPE: errors.DtypeError,
  AXPY_ARGUMENT: errors.ArgumentError,
  AXPY_INDEX: errors.IndexError,
  AXPY_DATA: errors.DataError,
  AXPY_AUTOGRAD: errors.AutogradError,
};

for (const { op, bad } of declarations.filter((declaration) => declaration.bad.length > 0)) {
  describe(op, () => {
    test.each(bad)('$name', ({ call, code, message }) => {
      let thrown: unknown = null;
      try {
        call();
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(classOf[code]);
      expect(thrown).toBeInstanceOf(errors.AxpyError);
      const error = thrown as errors.AxpyError;
      expect(error.code).toBe(code);
      expect(error.name).toBe(classOf[code].name);
      // Every message names the op first.
      expect(error.message).toMatch(/^\[[a-zA-Z][a-zA-Z0-9]*\] expected /);
      expect(error.message).toMatch(message);
    });
  });
}
