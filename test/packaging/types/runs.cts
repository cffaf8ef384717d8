/** The same by `require`. */
import axpy = require('axpy');
import dashboards = require('axpy/dashboard');
import runs = require('axpy/runs');

const callback: axpy.Callback = runs.runFolder({ histograms: 10 });

const board: Promise<axpy.Callback> = dashboards.dashboard();

export = [callback, board];
