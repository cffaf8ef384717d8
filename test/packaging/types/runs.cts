/** The same by `require`. */
import axpy = require('axpy');
import runs = require('axpy/runs');

const callback: axpy.Callback = runs.runFolder({ histograms: 10 });

export = callback;
