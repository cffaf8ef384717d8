"""
The cases by which ONNX's own project tests operators (python3-onnx), as a line of JSON each: the model, inputs, and outputs.
"""
import base64
import json
import warnings

import numpy as np
import onnx
from onnx import numpy_helper

warnings.filterwarnings('ignore')
# Names that NumPy 1.24 no longer has, and which the cases use.
for name, kind in (('float', float), ('int', int), ('bool', bool), ('object', object)):
    if name not in np.__dict__:
        setattr(np, name, kind)

from onnx.backend.test.case.node import collect_testcases  # noqa: E402


def packed(x):
    x = np.asarray(x)
    if x.dtype.kind not in 'fiub':
        raise TypeError(x.dtype)
    kind = 'float64' if x.dtype.itemsize == 8 or x.dtype.kind != 'f' else 'float32'
    return {'dtype': kind, 'isFloat': x.dtype.kind == 'f', 'shape': list(x.shape),
            'data': base64.b64encode(np.ascontiguousarray(x, kind).tobytes()).decode()}


# Inputs that say a shape or the like have to be known: they become initializers.
KNOWN = {'CumSum': [1], 'ConstantOfShape': [0], 'Dropout': [1, 2], 'Expand': [1], 'OneHot': [1, 2], 'Pad': [1, 2], 'Range': [0, 1, 2],
         'ReduceSum': [1], 'Reshape': [1], 'Resize': [1, 2, 3], 'Slice': [1, 2, 3, 4], 'Split': [1], 'Squeeze': [1], 'Tile': [1],
         'Trilu': [1], 'Unsqueeze': [1], 'Upsample': [1], 'If': [0]}


def fixed(model, inputs):
    """The model with such inputs in it, and the inputs that are left."""
    own = onnx.ModelProto()
    own.CopyFrom(model)
    for opset in own.opset_import:
        # The operators that are left of the time before are the same.
        opset.version = max(opset.version, 7)
    nodes = own.graph.node
    names = {node.input[i] for node in nodes for i in KNOWN.get(node.op_type, []) if i < len(node.input)} if len(nodes) == 1 else set()
    left = []
    for info, x in zip(list(own.graph.input), inputs):
        if info.name in names:
            own.graph.initializer.append(numpy_helper.from_array(np.asarray(x), info.name))
            own.graph.input.remove(info)
        else:
            left.append(x)
    return own, left


for case in collect_testcases(None):
    for inputs, outputs in case.data_sets:
        try:
            model, left = fixed(case.model, inputs)
            line = {'name': case.name, 'ops': sorted({n.op_type for n in case.model.graph.node}),
                    'rtol': case.rtol, 'atol': case.atol,
                    'model': base64.b64encode(model.SerializeToString()).decode(),
                    'inputs': [packed(x) for x in left], 'outputs': [packed(y) for y in outputs]}
        except (TypeError, ValueError, AttributeError):
            continue
        print(json.dumps(line))
