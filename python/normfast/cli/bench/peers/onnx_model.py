"""A model of one node in ONNX's file format, without the onnx package.

The format is Protocol Buffers: a message is a row of fields, each a key (number and wire type)
and a value. The numbers below are those of onnx.proto.
"""

import struct
from collections.abc import Mapping, Sequence

from normfast.cli.bench.problem import Array

ELEMENT_TYPES = {"float32": 1, "float16": 10, "float64": 11, "bfloat16": 16}  # TensorProto.DataType
Attribute = float | int | Sequence[int]


def one_node_model(
    op: str,
    x: Array,
    constants: Mapping[str, Array],
    attributes: Mapping[str, Attribute],
    opset: int,
    version: int,
    *,
    inputs: Sequence[str] = ("x",),
    outputs: Sequence[str] = ("y",),
    domain: str = "",
) -> bytes:
    """``outputs = op(*inputs, *constants)`` as a serialized ModelProto.

    All inputs and outputs have x's shape and type; an output without a name is not asked for.
    ``domain``: of the operator, where it is not ONNX's own.
    """
    node = b"".join(text(1, name) for name in (*inputs, *constants))
    node += b"".join(text(2, name) for name in outputs) + text(4, op)
    node += b"".join(message(5, attribute(name, value)) for name, value in attributes.items())
    node += text(7, domain) if domain else b""
    graph = message(1, node) + text(2, "one_node")
    graph += b"".join(message(5, tensor(name, array)) for name, array in constants.items())
    graph += b"".join(message(11, value_info(name, x)) for name in inputs)
    graph += b"".join(message(12, value_info(name, x)) for name in outputs if name)
    domains = message(8, integer(2, opset))
    domains += message(8, text(1, domain) + integer(2, 1)) if domain else b""
    return integer(1, version) + domains + message(7, graph)


def attribute(name: str, value: Attribute) -> bytes:
    """AttributeProto: name, value, and type, by the type of the value."""
    if isinstance(value, float):
        return text(1, name) + key(2, 5) + struct.pack("<f", value) + integer(20, 1)
    if isinstance(value, int):
        return text(1, name) + integer(3, value) + integer(20, 2)
    return text(1, name) + b"".join(integer(8, item) for item in value) + integer(20, 7)


def tensor(name: str, array: Array) -> bytes:
    """TensorProto: flat values."""
    flat = integer(1, array.size) + integer(2, element_type(array)) + text(8, name)
    return flat + message(9, array.tobytes())


def value_info(name: str, array: Array) -> bytes:
    """ValueInfoProto: element type and shape."""
    shape = b"".join(message(1, integer(1, length)) for length in array.shape)
    tensor_type = integer(1, element_type(array)) + message(2, shape)
    return text(1, name) + message(2, message(1, tensor_type))


def element_type(array: Array) -> int:
    """ONNX's number of the array's type."""
    return ELEMENT_TYPES[array.dtype.name]


def text(number: int, value: str) -> bytes:
    """A string field."""
    return message(number, value.encode())


def message(number: int, value: bytes) -> bytes:
    """A field with its length in front: strings, bytes, nested messages."""
    return key(number, 2) + varint(len(value)) + value


def integer(number: int, value: int) -> bytes:
    """An integer field; negative ones in 64-bit two's complement."""
    return key(number, 0) + varint(value & (2**64 - 1))


def key(number: int, wire_type: int) -> bytes:
    """What stands in front of every value."""
    return varint(number << 3 | wire_type)


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
