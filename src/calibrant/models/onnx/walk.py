"""Reading a graph: names, constants, and the way back from an output."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

# Operators that multiply and accumulate; what lies between two of them only reshapes or rescales.
COMPUTE_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


class UniqueNames:
    """Gives names that nothing has yet."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def fresh(self, wish: str) -> str:
        """``wish`` itself where it is free, else ``wish_2``, ``wish_3`` and so on; taken from now on."""
        name, count = wish, 1
        while name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        self._taken.add(name)
        return name


def value_names(model: ir.Model) -> Iterator[str]:
    """Names of all values, those in subgraphs included: an inner value may not shadow an outer one."""
    for graph in model.graphs():
        yield from ir.convenience.create_value_mapping(graph)


def is_standard(node: ir.Node, *op_types: str) -> bool:
    """Whether a node is one of these operators of the ONNX standard."""
    return node.domain == "" and node.op_type in op_types


def is_compute(node: ir.Node) -> bool:
    """Whether a node is a convolution or a matrix product."""
    return is_standard(node, *COMPUTE_OPS)


def is_plugin(node: ir.Node) -> bool:
    """Whether a node is one of TensorRT's plugins, which nothing else runs."""
    return node.domain == "TRT" or node.op_type.endswith("_TRT")


def name_of(named: ir.Node | ir.Value) -> str:
    """The name of a node or value; load_model has given every one of them a name."""
    return named.name or ""


def name_nodes(model: ir.Model) -> None:
    """Name every node uniquely: a nameless one is called by its operator and output, ``Conv_<output>``."""
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    names = UniqueNames(())
    for node in sorted(nodes, key=lambda node: not node.name):  # given names first: they have precedence
        label = node.outputs[0].name if node.outputs else ""
        node.name = names.fresh(node.name or f"{node.op_type}_{label}")


def walk_back(output: ir.Value, stops_at: Callable[[ir.Node], bool]) -> Iterator[ir.Node]:
    """The nodes that compute ``output``, nearest first and each once.

    The walk yields the nodes it stops at, and does not go on beyond them. It enters the bodies of If, Loop
    and Scan where their outputs are made.
    """
    values, seen = deque([output]), set[ir.Node]()
    while values:
        node = values.popleft().producer()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        if not stops_at(node):
            values.extend(_sources(node))


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The constant that a value holds: an initializer or a Constant node, also behind Identity and Transpose.

    None for anything else. The data is read from the file only when it is asked for.
    """
    permutations: list[Sequence[int] | None] = []
    while value is not None and _is_relabelled(value.producer()):
        node = value.producer()
        assert node is not None
        if node.op_type == "Transpose":
            permutations.append(node.attributes.get_ints("perm", None))
        value = node.inputs[0]
    tensor = own_constant(value) if value is not None else None
    for permutation in reversed(permutations):
        tensor = _transposed(tensor, permutation) if tensor is not None else None
    return tensor


def own_constant(value: ir.Value) -> ir.TensorProtocol | None:
    """The constant that an initializer or a Constant node itself holds; None for anything else."""
    if value.is_initializer():
        return value.const_value
    producer = value.producer()
    if producer is None or not is_standard(producer, "Constant"):
        return None
    return producer.attributes.get_tensor("value", None)


def in_memory(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """The same tensor, read into memory where its data still lies in a file."""
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor
    return ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)


def _is_relabelled(producer: ir.Node | None) -> bool:
    return producer is not None and is_standard(producer, "Identity", "Transpose")


def _transposed(tensor: ir.TensorProtocol, permutation: Sequence[int] | None) -> ir.TensorProtocol | None:
    dims = tensor.shape.numpy()
    order = tuple(permutation) if permutation is not None else tuple(reversed(range(len(dims))))
    if sorted(order) != list(range(len(dims))):
        return None
    return ir.LazyTensor(
        lambda: ir.Tensor(np.transpose(tensor.numpy(), order)),
        dtype=tensor.dtype,
        shape=ir.Shape([dims[axis] for axis in order]),
    )


def _sources(node: ir.Node) -> Iterator[ir.Value]:
    yield from (value for value in node.inputs if value is not None)
    for subgraph in _subgraphs_of(node):
        yield from subgraph.outputs


def _subgraphs_of(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()
