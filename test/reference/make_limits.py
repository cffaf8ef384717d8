"""Writes limits.json: functions of one number, their values and derivatives at the ends of float32 and float64, for
test/limits.test.ts. Nothing of it is measured: values are computed with 80 digits by mpmath (Debian's python3-mpmath) from
the definition, and rounded once to float64; where no definition reaches (infinities, kinks), `ends` below says the limit,
or PyTorch's convention.

    /usr/bin/python3 test/reference/make_limits.py
"""

import json
import math
import os

from mpmath import mp, mpf

mp.dps = 80

INF = math.inf
NAN = math.nan

POINTS = {
    "float32": [2.0**-149, 2.0**-126, 1e-30, 1e-10, 1e-8, 1e-4, 0.25, 0.5, 1, 2, 10, 30, 88.7, 100, 1e4, 1e20,
                (2 - 2.0**-23) * 2.0**127],
    "float64": [2.0**-1074, 2.0**-1022, 1e-200, 1e-17, 1e-10, 1e-4, 0.25, 0.5, 1, 2, 10, 30, 100, 709.7, 740.0, 1e10,
                1e160, (2 - 2.0**-52) * 2.0**1023],
}


def single(x):
    import struct

    return struct.unpack("f", struct.pack("f", x))[0]


def sigmoid(x):
    return 1 / (1 + mp.exp(-x)) if x > 0 else mp.exp(x) / (1 + mp.exp(x))


def softplus(x):
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def normal(x):
    # Beyond it a number of either type is 0 or 1.
    return mpf(0) if x < -60 else mpf(1) if x > 60 else mp.erfc(-x / mp.sqrt(2)) / 2


def density(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def power(p):
    p = mpf(p)
    whole = p == mp.floor(p)

    def value(x):
        if x == 0:
            return None
        return x**p if x > 0 or whole else None

    def slope(x):
        if p == 0:
            return mpf(0)
        if p == 1:
            return mpf(1)
        if x == 0:
            return None
        return p * x ** (p - 1) if x > 0 or whole else None

    return value, slope


# f and f' of a finite x other than 0; None for no real number.
FUNCTIONS = {
    "neg": (lambda x: -x, lambda x: mpf(-1)),
    "exp": (mp.exp, mp.exp),
    "log": (lambda x: mp.log(x) if x > 0 else None, lambda x: 1 / x),
    "sqrt": (lambda x: mp.sqrt(x) if x > 0 else None, lambda x: 1 / (2 * mp.sqrt(x)) if x > 0 else None),
    "abs": (abs, mp.sign),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / (x * x)),
    "sign": (mp.sign, lambda x: mpf(0)),
    "clip(-0.5, 1)": (lambda x: min(max(x, mpf(-0.5)), mpf(1)), lambda x: mpf(1) if -0.5 <= x <= 1 else mpf(0)),
    "relu": (lambda x: max(x, mpf(0)), lambda x: mpf(1) if x > 0 else mpf(0)),
    "leakyRelu(0.125)": (lambda x: x if x > 0 else x / 8, lambda x: mpf(1) if x > 0 else mpf(0.125)),
    "elu(0.75)": (lambda x: x if x > 0 else 0.75 * mp.expm1(x), lambda x: mpf(1) if x > 0 else 0.75 * mp.exp(x)),
    "gelu": (lambda x: x * normal(x), lambda x: normal(x) + x * density(x)),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
    "softplus": (softplus, sigmoid),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    # Not mp.tanh, whose digits near ±1 are those of 1.
    "tanh": (lambda x: mp.sign(x) * -mp.expm1(-2 * abs(x)) / (1 + mp.exp(-2 * abs(x))),
             lambda x: 4 * mp.exp(-2 * abs(x)) / (1 + mp.exp(-2 * abs(x))) ** 2),
    "log1p": (lambda x: mp.log1p(x) if x > -1 else None, lambda x: 1 / (1 + x) if x != -1 else None),
    "expm1": (mp.expm1, mp.exp),
    "logSigmoid": (lambda x: -softplus(-x), lambda x: sigmoid(-x)),
}
POWERS = [0, 1, 2, 3, 4, 5, 6, 7, 12, -1, -2, -3, -7, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.1, 2.7, -2.7]
FUNCTIONS.update({f"pow({p})": power(p) for p in POWERS})

# f and f' at 0, ∞ and −∞ (at −0 as at 0 unless it is listed): limits, and where there is none what C and PyTorch have.
ENDS = {
    "neg": {0: (-0.0, -1), INF: (-INF, -1), -INF: (INF, -1)},
    "exp": {0: (1, 1), INF: (INF, INF), -INF: (0, 0)},
    "log": {0: (-INF, INF), INF: (INF, 0), -INF: (NAN, 0)},
    "sqrt": {0: (0, INF), INF: (INF, 0), -INF: (NAN, NAN)},
    "abs": {0: (0, 0), INF: (INF, 1), -INF: (INF, -1)},
    "square": {0: (0, 0), INF: (INF, INF), -INF: (INF, -INF)},
    "reciprocal": {0: (INF, -INF), INF: (0, 0), -INF: (0, 0)},
    "sign": {0: (0, 0), INF: (1, 0), -INF: (-1, 0)},
    "clip(-0.5, 1)": {0: (0, 1), INF: (1, 0), -INF: (-0.5, 0)},
    "relu": {0: (0, 0), INF: (INF, 1), -INF: (0, 0)},
    "leakyRelu(0.125)": {0: (0, 0.125), INF: (INF, 1), -INF: (-INF, 0.125)},
    "elu(0.75)": {0: (0, 0.75), INF: (INF, 1), -INF: (-0.75, 0)},
    "gelu": {0: (0, 0.5), INF: (INF, 1), -INF: (0, 0)},
    "silu": {0: (0, 0.5), INF: (INF, 1), -INF: (0, 0)},
    "softplus": {0: (math.log(2), 0.5), INF: (INF, 1), -INF: (0, 0)},
    "sigmoid": {0: (0.5, 0.25), INF: (1, 0), -INF: (0, 0)},
    "tanh": {0: (0, 1), INF: (1, 0), -INF: (-1, 0)},
    "log1p": {0: (0, 1), INF: (INF, 0), -INF: (NAN, 0)},
    "expm1": {0: (0, 1), INF: (INF, INF), -INF: (-1, 0)},
    "logSigmoid": {0: (-math.log(2), 0.5), INF: (0, 0), -INF: (-INF, 1)},
}
# What PyTorch has where f is no number: the derivative as its formula says.
OWN = {"log1p": {-1: (-INF, INF)}}
# Of NaN: NaN, but for constants.
OF_NAN = {"neg": (NAN, -1), "sign": (NAN, 0), "pow(0)": (1, 0), "pow(1)": (NAN, 1)}


def c_power(x, p):
    """As C has it; of the standard library's pow only what Python refuses."""
    if x == 0 and p < 0:
        return math.copysign(INF, x) if p % 2 == 1 else INF
    if x == -INF and p != 0:
        odd = p % 2 == 1
        return (-INF if odd else INF) if p > 0 else (-0.0 if odd else 0.0)
    return math.pow(x, p)


def at_end(name, x):
    if name.startswith("pow("):
        p = float(name[4:-1])
        slope = 0 if p == 0 else 1 if p == 1 else p * c_power(x, p - 1)
        return c_power(x, p), slope
    f, slope = ENDS[name].get(x, (NAN, NAN))
    if x == 0 and math.copysign(1, x) < 0:
        # Odd functions keep the sign of 0; others have the value at 0. PyTorch's derivative of √−0 is −∞, here too.
        if name in ("neg", "reciprocal"):
            f = -f
        if name in ("gelu", "silu", "tanh", "log1p", "expm1", "sqrt", "leakyRelu(0.125)"):
            f = -0.0
        if name == "sqrt":
            slope = -INF
    return f, slope


def rounded(value):
    return NAN if value is None else float(value)


def row(name, x):
    if math.isnan(x):
        value, slope = OF_NAN.get(name, (NAN, NAN))
    elif x == 0 or math.isinf(x):
        value, slope = at_end(name, x)
    elif x in OWN.get(name, {}):
        value, slope = OWN[name][x]
    else:
        f, g = FUNCTIONS[name]
        value, slope = rounded(f(mpf(x))), rounded(g(mpf(x)))
    return [x, value, slope]


def plain(number):
    number = float(number)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else 0
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


table = {}
for dtype, sizes in POINTS.items():
    sizes = [single(x) if dtype == "float32" else x for x in sizes]
    points = [0.0, -0.0] + [sign * x for x in sizes for sign in (1, -1)] + [INF, -INF, NAN]
    table[dtype] = {name: [[plain(n) for n in row(name, x)] for x in points] for name in FUNCTIONS}

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "limits.json")
with open(path, "w") as file:
    file.write("{\n")
    for i, (dtype, functions) in enumerate(table.items()):
        file.write(f'"{dtype}": {{\n')
        lines = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in functions.items()]
        file.write(",\n".join(lines) + "\n}" + (",\n" if i == 0 else "\n"))
    file.write("}\n")
