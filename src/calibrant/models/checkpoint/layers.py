"""Which of a checkpoint's tensors are what, by their names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.tensors import StoredTensor

LINEAR, EXPERT, ROUTER, HEAD, EMBEDDING = "linear", "expert", "router", "head", "embedding"
QUANTIZABLE = (LINEAR, EXPERT)

_BLOCK = re.compile(r"(?P<stack>(?:.*\.)?(?:layers|blocks|h))\.(?P<block>\d+)\.(?P<inner>.+)")
_EXPERT = re.compile(r"(?:.*\.)?experts\.(?P<expert>\d+)\..+")
_ROUTER = re.compile(r"(?:.*\.)?(?:mlp|block_sparse_moe|feed_forward)\.(?:gate|router)|.*\.router(?:\..*)?")
_EMBEDDING = re.compile(r"(?:.*\.)?(?:embed_tokens|wte|position_embedding|pos_embed)")
_HEAD = re.compile(r"(?:.*\.)?(?:lm_head|output)")
# How a weight's values lie in a file, by the tensors beside its name.
_STORED_AS = ("weight", "weight_packed", "qweight")
PARTS = (
    "weight",
    "weight_packed",
    "weight_scale",
    "weight_scale_inv",
    "weight_zero_point",
    "weight_shape",
    "weight_global_scale",
    "input_scale",
    "qweight",
    "qzeros",
    "scales",
    "g_idx",
)


@dataclass(frozen=True)
class CheckpointLayer:
    """A matrix product of the model: ``name`` is the module's, ``shape`` is outputs x inputs.

    ``stack`` and ``block`` say in which repeated block it is (None: outside), ``expert`` which expert it
    belongs to. ``bytes`` are those that it takes in the file, with scales and zero points.
    """

    name: str
    shape: tuple[int, int]
    role: str
    bytes: int
    stack: str | None = None
    block: int | None = None
    expert: int | None = None

    @property
    def size(self) -> int:
        """How many weights it has."""
        return self.shape[0] * self.shape[1]

    @property
    def kind(self) -> str:
        """Its name within a block, experts' numbers left out: ``mlp.experts.*.up_proj``."""
        found = _BLOCK.fullmatch(self.name)
        inner = found["inner"] if found else self.name
        return re.sub(r"experts\.\d+\.", "experts.*.", inner)


def layers_of(checkpoint: Checkpoint) -> tuple[CheckpointLayer, ...]:
    """Every matrix product, in the order of blocks and experts, from the headers alone."""
    found = []
    for name, stored in checkpoint.tensors.items():
        module, _, kind = name.rpartition(".")
        if kind in _STORED_AS and len(stored.shape) == 2:
            found.append(_layer(module, stored, checkpoint.tensors))
    return tuple(sorted(found, key=_order))


def _layer(module: str, stored: StoredTensor, tensors: Mapping[str, StoredTensor]) -> CheckpointLayer:
    place, expert = _BLOCK.fullmatch(module), _EXPERT.fullmatch(module)
    return CheckpointLayer(
        module,
        _shape(stored, tensors),
        _role(module, in_block=place is not None, is_expert=expert is not None),
        sum(tensor.bytes for name in _parts(module) if (tensor := tensors.get(name))),
        place["stack"] if place else None,
        int(place["block"]) if place else None,
        int(expert["expert"]) if expert else None,
    )


def _shape(stored: StoredTensor, tensors: Mapping[str, StoredTensor]) -> tuple[int, int]:
    """Of the weight: a packed one has eight values of four bits in each int32.

    GPTQ's and AWQ's lie as inputs x outputs, packed along the inputs and the outputs.
    """
    rows, columns = stored.shape
    module, _, kind = stored.name.rpartition(".")
    if kind == "qweight":
        scales = tensors.get(f"{module}.scales")
        outputs = scales.shape[-1] if scales is not None else columns
        return outputs, rows * 8 if outputs == columns else rows
    return rows, columns * 8 if stored.name.endswith("weight_packed") and stored.dtype == "I32" else columns


def _parts(module: str) -> tuple[str, ...]:
    return tuple(f"{module}.{kind}" for kind in PARTS)


def _role(module: str, *, in_block: bool, is_expert: bool) -> str:
    if is_expert:
        return EXPERT
    if _ROUTER.fullmatch(module):
        return ROUTER
    if _EMBEDDING.fullmatch(module):
        return EMBEDDING
    if _HEAD.fullmatch(module) or not in_block:
        return HEAD
    return LINEAR


def _order(layer: CheckpointLayer) -> tuple[str, int, str, int]:
    return (
        layer.stack or "",
        -1 if layer.block is None else layer.block,
        layer.kind,
        -1 if layer.expert is None else layer.expert,
    )
