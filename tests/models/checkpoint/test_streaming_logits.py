"""Block by block, a model computes what transformers computes with all of it in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from calibrant.core.errors import ModelError  # noqa: E402
from calibrant.core.progress import Silent  # noqa: E402
from calibrant.models.checkpoint.architecture import Architecture  # noqa: E402
from calibrant.models.checkpoint.folder import open_checkpoint  # noqa: E402
from calibrant.models.checkpoint.known import SUPPORTED  # noqa: E402
from calibrant.models.checkpoint.statistics import InputStatistics, Wanted  # noqa: E402
from calibrant.models.checkpoint.streaming import QuantizedProduct, StreamEvidence, measure  # noqa: E402
from calibrant.models.checkpoint.weights import Weights  # noqa: E402
from tiny_checkpoints import CONFIGS, write_checkpoint  # noqa: E402

LENGTHS = (9, 30, 17, 30)
SCORED_FROM = (1, 1, 5, 1)


class Same:
    """A candidate that leaves every weight as it is."""

    name = "same"

    def quantize(self, weights: dict[str, object], statistics: object) -> dict[str, QuantizedProduct]:
        return {}

    def cache(self, block: str, statistics: Any, *, is_latent: bool) -> None:
        return None

    def finish_block(self, number: int) -> None: ...


class Coarse:
    """Weights rounded to sixteenths."""

    name = "coarse"

    def __init__(self) -> None:
        self.seen: dict[str, InputStatistics | None] = {}

    def quantize(
        self, weights: dict[str, np.ndarray], statistics: InputStatistics | None
    ) -> dict[str, QuantizedProduct]:
        self.seen |= dict.fromkeys(weights, statistics)
        return {
            name: QuantizedProduct((np.rint(w * 16) / 16).astype(np.float32)) for name, w in weights.items()
        }

    def cache(self, block: str, statistics: Any, *, is_latent: bool) -> None:
        return None

    def finish_block(self, number: int) -> None: ...


def documents(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(3, 250, length) for length in LENGTHS]


def measured(folder: Path, *candidates: Any, wanted: Wanted | None = None) -> tuple[StreamEvidence, Weights]:
    checkpoint = open_checkpoint(folder)
    weights = Weights(checkpoint)
    architecture = Architecture(checkpoint, weights)
    found = measure(
        architecture, documents(1), documents(), SCORED_FROM, candidates, wanted or Wanted(), Silent()
    )
    return found, weights


def reference_model(folder: Path) -> object:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def log_probabilities(model: object) -> list[np.ndarray]:
    with torch.no_grad():
        return [
            model(torch.from_numpy(numbers)[None]).logits[0].double().log_softmax(-1).numpy()  # type: ignore[operator]
            for numbers in documents()
        ]


def test_every_supported_architecture_is_tested() -> None:
    assert set(SUPPORTED) == set(CONFIGS)


@pytest.mark.parametrize("kind", CONFIGS)
def test_float_logits_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, kind)
    found, _ = measured(tmp_path, Same())
    wanted = [
        -sum(log[t - 1, numbers[t]] for t in range(start, len(numbers)))
        for log, numbers, start in zip(
            log_probabilities(reference_model(tmp_path)), documents(), SCORED_FROM, strict=True
        )
    ]
    assert np.allclose(found.reference_nll, wanted, rtol=2e-5)
    assert found.comparisons["same"].divergence.max() == 0
    assert (found.comparisons["same"].agreement == found.tokens).all()
    assert list(found.tokens) == [8, 29, 12, 29]


@pytest.mark.parametrize("kind", ["qwen2", "deepseek_v3"])
def test_a_candidates_divergence_is_that_of_the_whole_model(kind: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, kind)
    found, _ = measured(tmp_path, Coarse())
    model = reference_model(tmp_path)
    before = log_probabilities(model)
    quantized = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}  # type: ignore[attr-defined]
    for name, values in model.named_parameters():  # type: ignore[attr-defined]
        is_expert = ".experts." in name
        if is_expert or (name.removesuffix(".weight") in quantized - {"lm_head"}):
            values.data = torch.round(values.data * 16) / 16
    after = log_probabilities(model)
    for place, start in enumerate(SCORED_FROM):
        rows = slice(start - 1, LENGTHS[place] - 1)
        f, c = before[place][rows], after[place][rows]
        assert found.comparisons["coarse"].divergence[place] == pytest.approx(
            (np.exp(f) * (f - c)).sum(), rel=2e-3
        )
        assert found.comparisons["coarse"].agreement[place] == (f.argmax(1) == c.argmax(1)).sum()
    errors = found.growth["coarse"].by_block
    assert len(errors) == 2
    assert 0 < errors[0] < errors[1]


def test_the_weights_are_read_once_for_all_candidates(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "qwen2", tie_word_embeddings=False)
    candidates = [type("Named", (Coarse,), {"name": f"coarse{n}"})() for n in range(3)]
    _, weights = measured(tmp_path, *candidates)
    assert weights.bytes_read <= open_checkpoint(tmp_path).bytes


def test_statistics_are_of_the_tokens_and_not_of_the_padding(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "qwen2")
    coarse = Coarse()
    measured(tmp_path, coarse, wanted=Wanted(moments=True, histograms=True))
    seen: list[Any] = []
    model = reference_model(tmp_path)
    layer = model.model.layers[1].mlp.down_proj  # type: ignore[attr-defined]
    layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0][0]))
    with torch.no_grad():
        for numbers in documents(1):
            model(torch.from_numpy(numbers)[None])  # type: ignore[operator]
    inputs = torch.cat(seen)
    found = coarse.seen["model.layers.1.mlp.down_proj"]
    assert found is not None
    assert found.tokens == sum(LENGTHS)
    assert found.amax == pytest.approx(inputs.abs().amax(0).numpy(), rel=1e-4)
    assert found.mean_magnitude == pytest.approx(inputs.abs().mean(0).numpy(), rel=1e-4)
    assert found.moments is not None
    assert np.allclose(found.moments, (inputs.T @ inputs / len(inputs)).numpy(), rtol=1e-3, atol=1e-5)
    assert found.values is not None
    assert found.values.count == inputs.numel()


def test_products_that_read_the_same_values_share_statistics(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "qwen2")
    coarse = Coarse()
    measured(tmp_path, coarse)
    block = "model.layers.0"
    q, k, v, o = (coarse.seen[f"{block}.self_attn.{name}_proj"] for name in "qkvo")
    assert q is k is v
    assert o is not q


def test_routing_counts_the_tokens_of_each_expert(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "deepseek_v3")
    found, _ = measured(tmp_path, Same())
    assert list(found.test_routing) == ["model.layers.1.mlp.experts"]
    assert found.test_routing["model.layers.1.mlp.experts"].sum() == 2 * sum(LENGTHS)
    assert found.calibration_routing["model.layers.1.mlp.experts"].sum() == 2 * sum(LENGTHS)


def test_kimis_name_means_deepseeks_architecture(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "deepseek_v3")
    before, _ = measured(tmp_path, Same())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "kimi_k2", "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    after, _ = measured(tmp_path, Same())
    assert (before.reference_nll == after.reference_nll).all()


def test_an_unknown_architecture_is_refused_in_a_line(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "qwen2")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "rwkv9"}))
    with pytest.raises(ModelError, match="'rwkv9', which is not among the architectures"):
        measured(tmp_path, Same())


def test_a_lost_tensor_and_one_of_another_shape_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    write_checkpoint(tmp_path, "qwen2", shard="10GB")
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    name = "model.layers.1.mlp.up_proj.weight"
    save_file({key: values for key, values in tensors.items() if key != name}, file)
    with pytest.raises(ModelError, match=r"no tensor 'model.layers.1.mlp.up_proj.weight'"):
        measured(tmp_path, Same())
    save_file(tensors | {name: torch.zeros(3, 4)}, file)
    with pytest.raises(ModelError, match=r"shape \(3, 4\), and config.json says \(96, 64\)"):
        measured(tmp_path, Same())
    save_file(tensors | {name: torch.full((96, 64), torch.nan)}, file)
    with pytest.raises(ModelError, match="holds 6144 values that are NaN"):
        measured(tmp_path, Same())
