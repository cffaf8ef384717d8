"""The safetensors format in NumPy, from its description, for tests."""
import json
import struct

import numpy as np

NAMES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8"}


def load(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], NAMES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }


def save(path, tensors):
    header, parts, at = {}, [], 0
    for name, x in tensors.items():
        x = np.ascontiguousarray(x)
        dtype = next(key for key, value in NAMES.items() if np.dtype(value) == x.dtype)
        header[name] = {"dtype": dtype, "shape": x.shape, "data_offsets": [at, at + x.nbytes]}
        parts.append(x.tobytes())
        at += x.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
