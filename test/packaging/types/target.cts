/** A subpath by `require`. */
import axpy = require('axpy');
import target = require('axpy/darwin-x64');

const sum: axpy.Tensor = axpy.tensor([1]).add(target.tensor([2]));

export = sum;
