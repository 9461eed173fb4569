"""A checkpoint as transformers defines it, with weights in one block at a time.

The definitions are transformers' own classes, built without memory on torch's meta device; code that comes
with a model is never run.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from calibrant.core.errors import ModelError, SettingsError
from calibrant.models.checkpoint.caching import BlockCache
from calibrant.models.checkpoint.crossing import Crossing
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.known import SAME_AS, refusal_of
from calibrant.models.checkpoint.modules import Expert, Experts, Product
from calibrant.models.checkpoint.weights import Weights

_NOT_SETTINGS = (
    "model_type",
    "auto_map",
    "quantization_config",
    "compression_config",
    "architectures",
    "dtype",
    "torch_dtype",
)


@dataclass(frozen=True)
class Block:
    """One block with its weights: ``products`` by their names in the checkpoint."""

    name: str
    module: nn.Module
    products: Mapping[str, Product]


class Architecture:
    """The model: its first and last parts, and one block after the other.

    device: where blocks and streams are, as torch calls it: ``cpu``, ``cuda``. Raises ModelError for an
    architecture that is not known or not tested, SettingsError for a device that is not there.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights, device: str = "cpu") -> None:
        self.checkpoint, self._weights = checkpoint, weights
        self.device = _device(device)
        self.crossing = Crossing()
        self._model = _empty_model(checkpoint)
        self._base = self._model.get_decoder()
        self._prefix = f"{_name_of(self._model, self._base)}."
        self.blocks = len(self._base.layers)
        self._cache_argument = _cache_argument(self._base.layers[0])
        _materialise_rotary(self._base, self.device)
        self._arguments: dict[int, list[Mapping[str, Any]]] = {}

    @property
    def block_prefix(self) -> str:
        """What the names of blocks' tensors begin with, without their number."""
        return f"{self._prefix}layers"

    @property
    def width(self) -> int:
        """Values of the stream for each token."""
        return int(self._base.embed_tokens.embedding_dim)

    @property
    def vocabulary(self) -> int:
        """Rows of the head."""
        return int(self._model.get_output_embeddings().weight.shape[0])

    def embedded(self, batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The streams that enter the first block, batch x length x width; each row in use is read once."""
        used = torch.unique(torch.cat([tokens.flatten() for tokens in batches]))
        if int(used[-1]) >= self._base.embed_tokens.num_embeddings:
            raise ModelError(
                f"the tokenizer gives token {int(used[-1])}, and the model has "
                f"{self._base.embed_tokens.num_embeddings}; get the tokenizer that belongs to the model"
            )
        rows = torch.from_numpy(self._weights.rows(f"{self._prefix}embed_tokens.weight", used.numpy()))
        return [rows[torch.searchsorted(used, tokens)].to(self.device) for tokens in batches]

    def block(self, number: int) -> Block:
        """Read a block. Raises ModelError where a tensor is missing or of another shape."""
        name = f"{self._prefix}layers.{number}"
        module = self._base.layers[number]
        loaded = _Loader(self._weights, self.crossing, self.device)
        filled = loaded.filled(module, name)
        return Block(name, filled, loaded.products)

    def release(self, number: int) -> None:
        """Forget a block's weights."""
        with torch.device("meta"):
            self._base.layers[number] = type(self._base.layers[number])(self._model.config, number)

    @property
    def caches_latent(self) -> bool:
        """Whether attention caches a latent, of which keys and values are made."""
        return self.checkpoint.config.get("kv_lora_rank") is not None

    def whole(self) -> tuple[Any, dict[str, Product]]:
        """All of the model in memory, and its products: for decoding, where every token reads all weights."""
        loader = _Loader(self._weights, self.crossing, self.device)
        products: dict[str, Product] = {}
        for number in range(self.blocks):
            products |= self.block(number).products
        base, head = self._base, self._model.get_output_embeddings()
        base.embed_tokens = loader.filled(base.embed_tokens, f"{self._prefix}embed_tokens")
        base.norm = loader.filled(base.norm, f"{self._prefix}norm")
        name = f"{_name_of(self._model, head)}.weight"
        stored = loader.tensor(name, tuple(head.weight.shape)) if name in self._weights else None
        weight = base.embed_tokens.weight.data if stored is None else stored
        self._model.set_output_embeddings(Product("head", weight, None, self.crossing))
        if (self.checkpoint.folder / "generation_config.json").is_file():
            self._model.generation_config = _generation_config(self.checkpoint.folder)
        return self._model, products

    def cross(
        self, block: Block, number: int, stream: torch.Tensor, cache: BlockCache | None = None
    ) -> torch.Tensor:
        """A batch's stream behind a block, batch x length x width. cache: is given keys and values."""
        arguments = self._arguments_of(stream.shape[1])[number]
        if cache is not None:
            arguments = {**arguments, self._cache_argument: cache}
        found = block.module(stream, **arguments)
        return found[0] if isinstance(found, tuple) else found

    def normed(self, stream: torch.Tensor) -> torch.Tensor:
        """What enters the head."""
        if any(parameter.is_meta for parameter in self._base.norm.parameters()):
            self._base.norm = _Loader(self._weights, self.crossing, self.device).filled(
                self._base.norm, f"{self._prefix}norm"
            )
        found: torch.Tensor = self._base.norm(stream)
        return found

    def head_rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows of the matrix that gives the logits, without bias: (stop - start) x width."""
        name = f"{_name_of(self._model, self._model.get_output_embeddings())}.weight"
        if name not in self._weights:  # tied, and stored once
            name = f"{self._prefix}embed_tokens.weight"
        return torch.from_numpy(self._weights.values(name, slice(start, stop))).to(self.device)

    def _arguments_of(self, length: int) -> list[Mapping[str, Any]]:
        """What transformers hands to each block for sequences of this length, masks and rotations."""
        if length not in self._arguments:
            self._arguments[length] = _recorded_arguments(self._base, length, self.width, self.device)
        return self._arguments[length]


def _empty_model(checkpoint: Checkpoint) -> Any:
    """The model of transformers on the meta device, for causal language modelling."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers import AutoConfig, AutoModelForCausalLM

    if refusal := refusal_of(checkpoint.model_type):
        raise ModelError(f"{checkpoint.folder} {refusal}")
    kind = SAME_AS.get(checkpoint.model_type, checkpoint.model_type)
    settings = {name: value for name, value in checkpoint.config.items() if name not in _NOT_SETTINGS}
    try:
        config = AutoConfig.for_model(kind, **settings)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                config, attn_implementation="sdpa", dtype=torch.float32, trust_remote_code=False
            )
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{checkpoint.folder / 'config.json'} makes no model of transformers: {reason}"
        ) from error
    return model.eval()


def _generation_config(folder: Path) -> Any:
    from transformers import GenerationConfig

    found = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return GenerationConfig(eos_token_id=found.eos_token_id, pad_token_id=found.pad_token_id)


def _name_of(model: nn.Module, part: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is part)


def _materialise_rotary(base: Any, device: torch.device) -> None:
    """Rotary embeddings have no weights in the file: made again, this time with values."""
    base.rotary_emb = type(base.rotary_emb)(config=base.config).to(device)


def _cache_argument(block: nn.Module) -> str:
    """What transformers calls the cache that a block is given; the name changes with its version."""
    names = inspect.signature(block.forward).parameters
    return next(name for name in ("cache", "past_key_values", "past_key_value") if name in names)


def _device(name: str) -> torch.device:
    try:
        found = torch.device(name)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"there is no device {name!r} here: {str(error).splitlines()[0]}; use --device cpu"
        ) from error
    return found


class _Recorder(nn.Module):
    """Stands where a block stands and remembers what it is called with."""

    def __init__(self, calls: list[Mapping[str, Any]]) -> None:
        super().__init__()
        self._calls = calls

    def forward(self, stream: torch.Tensor, **arguments: Any) -> torch.Tensor:
        """Let the stream through."""
        self._calls.append(arguments)
        return stream


def _recorded_arguments(base: Any, length: int, width: int, device: torch.device) -> list[Mapping[str, Any]]:
    calls: list[Mapping[str, Any]] = []
    blocks, norm = base.layers, base.norm
    base.layers = nn.ModuleList([_Recorder(calls) for _ in blocks])
    base.norm = nn.Identity()
    try:
        base(inputs_embeds=torch.zeros(1, length, width, device=device), use_cache=False)
    finally:
        base.layers, base.norm = blocks, norm
    return calls


class _Loader:
    """Gives a module of the meta device its weights, with our products and experts in it."""

    def __init__(self, weights: Weights, crossing: Crossing, device: torch.device) -> None:
        self._weights, self._crossing, self._device = weights, crossing, device
        self.products: dict[str, Product] = {}

    def filled(self, module: nn.Module, name: str) -> nn.Module:
        """The module with values; products in it are noted."""
        if isinstance(module, nn.Linear):
            bias = f"{name}.bias"
            return self._product(
                name, (module.out_features, module.in_features), bias if module.bias is not None else None
            )
        if hasattr(module, "gate_up_proj") and isinstance(module.gate_up_proj, nn.Parameter):
            return self._experts(module, name)
        for child, part in list(module.named_children()):
            setattr(module, child, self.filled(part, f"{name}.{child}"))
        for child, values in list(module.named_parameters(recurse=False)):
            found = self.tensor(f"{name}.{child}", tuple(values.shape))
            setattr(module, child, nn.Parameter(found, requires_grad=False))
        for child, values in list(module.named_buffers(recurse=False)):
            if child not in module._non_persistent_buffers_set:
                module.register_buffer(child, self.tensor(f"{name}.{child}", tuple(values.shape)))
        return module

    def _experts(self, module: Any, name: str) -> Experts:
        count, width, inner = (int(size) for size in module.down_proj.shape)
        experts = [
            Expert(
                self._product(f"{name}.{number}.gate_proj", (inner, width), None, of_expert=True),
                self._product(f"{name}.{number}.up_proj", (inner, width), None, of_expert=True),
                self._product(f"{name}.{number}.down_proj", (width, inner), None, of_expert=True),
            )
            for number in range(count)
        ]
        act: Callable[[torch.Tensor], torch.Tensor] = module.act_fn
        return Experts(name, experts, act, self._crossing)

    def _product(
        self, name: str, shape: tuple[int, int], bias: str | None, *, of_expert: bool = False
    ) -> Product:
        made = Product(
            name,
            self.tensor(f"{name}.weight", shape),
            None if bias is None else self.tensor(bias, shape[:1]),
            self._crossing,
            of_expert=of_expert,
        )
        self.products[name] = made
        return made

    def tensor(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """One tensor. Raises ModelError where it is missing or of another shape."""
        if name not in self._weights:
            raise ModelError(f"the checkpoint has no tensor {name!r}; get the whole model again")
        found = self._weights.values(name)
        if found.shape != shape:
            raise ModelError(f"{name!r} has shape {found.shape}, and config.json says {shape}")
        return torch.from_numpy(found).to(self._device)
