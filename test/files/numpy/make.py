"""
Writes arrays as NumPy has them, and what they hold as text: `python3 make.py folder [seed]`. Without a seed these are the
files beside it, which make.py of NumPy 1.24.2 and Python 3.11 wrote, byte for byte again; with one, others like them.
"""
import io
import json
import os
import sys
import zipfile

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
random = np.random.default_rng(seed)
expected = {}


def place(name):
    return os.path.join(folder, name)


def tell(file, name, array):
    """What becomes of it: elements in C order, as bytes in hexadecimal, by the dtype asked for."""
    def text(dtype):
        with np.errstate(over="ignore"):
            return array.astype(dtype).tobytes("C").hex()
    said = {"shape": list(array.shape), "float32": text("<f4"), "float64": text("<f8")}
    kind = array.dtype.kind
    fits = kind in "biu" and (array.size == 0 or (int(array.min()) >= -(2**31) and int(array.max()) < 2**31))
    if fits:
        said["int32"] = text("<i4")
    said["natural"] = ("float64" if array.dtype.itemsize == 8 else "float32") if kind == "f" else "int32"
    expected.setdefault(file, {})[name] = said


def values(kind, shape):
    """Numbers of a kind: at its ends, and any."""
    dtype = np.dtype(kind)
    size = int(np.prod(shape))
    if dtype.kind == "b":
        flat = random.integers(0, 2, size).astype(bool)
    elif dtype.kind == "f":
        info = np.finfo(dtype)
        flat = random.normal(size=size).astype(dtype)
        ends = np.array([0.0, -0.0, info.max, -info.max, info.tiny, info.smallest_subnormal, np.inf, -np.inf], dtype)
        flat[: len(ends)] = ends[:size]
    else:
        info = np.iinfo(dtype)
        low, high = max(info.min, -(2**31)), min(info.max, 2**31 - 1)
        flat = random.integers(low, high, size, endpoint=True).astype(dtype)
        flat[:2] = [low, high][:size]
    return flat.reshape(shape)


kinds = ["f2", "f4", "f8", "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
arrays = {}
for kind in kinds:
    for order in "<>":
        shape = (2, 4) if seed == 0 else tuple(random.integers(1, 6, random.integers(0, 5)))
        array = values(kind, shape).astype(order + kind)
        arrays[f"{kind} {order} C"] = array
        arrays[f"{kind} {order} F"] = np.asfortranarray(array)
    arrays[f"{kind} scalar"] = values(kind, (1,)).reshape(())
    arrays[f"{kind} empty"] = np.zeros((3, 0, 2), kind)
arrays["f4 F of three axes"] = np.asfortranarray(values("f4", (2, 3, 4)))
arrays["f4 a slice"] = values("f4", (6, 6))[::2, 1:]
arrays["../../folder/ä日本"] = values("f4", (2,))
arrays["/absolute"] = values("f4", (2,))
arrays["__proto__"] = values("f4", (2,))
arrays["toString"] = values("f4", (2,))

np.savez(place("stored.npz"), **arrays)
np.savez_compressed(place("deflated.npz"), **arrays)
for name, array in arrays.items():
    tell("stored.npz", name, array)
expected["deflated.npz"] = "stored.npz"
np.savez(place("none.npz"))
expected["none.npz"] = {}

wide = {
    "i8": np.array([[1, 2, 3], [-1, 2**31, 2**53 + 1], [2**63 - 1, -(2**63), 2**60 + 2**36 + 1]]),
    "u8": np.array([5, 2**64 - 1, 2**63 + 2**39 + 1], "u8"),
    "u4": np.array([2**31 - 1, 2**32 - 1], "u4"),
    # A float32 lies half way to the next: rounded to float64 first, these would be rounded twice.
    "twice": np.array([2**60 + 2**36 + 1, -(2**60 + 2**36 + 1), 2**60 + 2**36, 2**60 + 3 * 2**36 - 1]),
}
np.savez(place("wide.npz"), **wide)
for name, array in wide.items():
    tell("wide.npz", name, array)


def write(name, array, version):
    with open(place(name), "wb") as file:
        np.lib.format.write_array(file, array, version=version)
    tell(name, "", array)


for version in [(1, 0), (2, 0), (3, 0)]:
    write(f"v{version[0]}.npy", values("f4", (2, 3)), version)
write("fortran.npy", np.asfortranarray(values(">i2", (3, 5))), None)
write("scalar.npy", np.array(-1.5), None)
write("empty.npy", np.zeros((0, 7), "f4"), None)
write("long.npy", values("f4", (1,) * 16), None)

# As a pipe gets them: sizes and sums stand after the data.
class Pipe(io.RawIOBase):
    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)

for name, method in [("pipe-stored.npz", zipfile.ZIP_STORED), ("pipe-deflated.npz", zipfile.ZIP_DEFLATED)]:
    with open(place(name), "wb") as file, zipfile.ZipFile(Pipe(file), "w", method) as archive:
        archive.comment = b"some words"
        for key in ["f4 < C", "f8 > F"]:
            info = zipfile.ZipInfo(key + ".npy")
            info.compress_type = method
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, arrays[key])
            tell(name, key, arrays[key])

refused = {
    "complex": np.zeros(2, "c8"),
    "objects": np.array([{}, None], object),
    "bytes": np.array([b"a"]),
    "text": np.array(["ä"]),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "spans": np.array([1], "m8[s]"),
    "records": np.zeros(2, [("a", "<f4"), ("ä", "<i4", (2,))]),
    "raw": np.zeros(2, "V2"),
    "long doubles": np.zeros(2, "g"),
}
np.savez(place("refused.npz"), **refused)

with open(place("expected.json"), "w") as file:
    json.dump(expected, file, ensure_ascii=False)
    file.write("\n")
