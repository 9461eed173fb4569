"""The architectures that can be studied, by transformers' names; nothing of torch is needed to know them."""

from __future__ import annotations

from collections.abc import Mapping

SAME_AS: Mapping[str, str] = {"kimi_k2": "deepseek_v3"}
"""Architectures that transformers has under another name."""

SUPPORTED = (
    "deepseek_v3",
    "glm4_moe",
    "hunyuan_v1_dense",
    "llama",
    "mistral",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
)
"""Those whose logits, block by block, are tested to be transformers' own."""


def refusal_of(model_type: str) -> str | None:
    """Why models of a type cannot be studied, as it goes on behind a model's name; None: they can."""
    if SAME_AS.get(model_type, model_type) in SUPPORTED:
        return None
    return (
        f"is a {model_type!r}, which is not among the architectures that are tested here: "
        f"{', '.join((*SUPPORTED, *SAME_AS))}"
    )
