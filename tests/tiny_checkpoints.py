"""Checkpoints of a few thousand weights: the architectures' own classes, tensor names and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COMMON: dict[str, Any] = {
    "vocab_size": 259,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "head_dim": 16,
    "pad_token_id": 0,
    "initializer_range": 0.1,
}
MIXTURE: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "qwen3": {},
    "llama": {},
    "mistral": {"sliding_window": None},
    "hunyuan_v1_dense": {},
    "qwen2_moe": {
        **MIXTURE,
        "num_experts": 4,
        "shared_expert_intermediate_size": 32,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    },
    "qwen3_moe": {**MIXTURE, "num_experts": 4, "decoder_sparse_step": 1, "mlp_only_layers": []},
    "glm4_moe": {**MIXTURE, "n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1},
    "deepseek_v3": {
        **MIXTURE,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "q_lora_rank": 32,
        "kv_lora_rank": 32,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
        "num_key_value_heads": 4,
        "head_dim": 8,
    },
}
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tiny_model(kind: str, seed: int = 0, **changes: Any) -> Any:
    """A model of transformers with random weights, all of them drawn."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**COMMON, **CONFIGS[kind], **changes})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    for name, values in model.state_dict().items():
        if "norm" not in name and values.dtype.is_floating_point:
            values.copy_(torch.randn(values.shape) * 0.1)
    return model


def write_tokenizer(folder: Path, template: str | None = TEMPLATE) -> None:
    """A tokenizer of bytes: three special tokens, then one for each byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2} | {byte: n + 3 for n, byte in enumerate(alphabet)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>")
    made.chat_template = template
    made.save_pretrained(folder)


def write_checkpoint(folder: Path, kind: str, seed: int = 0, shard: str = "40KB", **changes: Any) -> Path:
    """Write a tiny model with its tokenizer, in several shards, and give its folder."""
    tiny_model(kind, seed, **changes).save_pretrained(folder, max_shard_size=shard)
    write_tokenizer(folder)
    return folder


def write_texts(path: Path, texts: list[str], **columns: Any) -> str:
    """A jsonl file with one text a line."""
    rows = ({"id": f"{path.stem}-{n}", "text": text, **columns} for n, text in enumerate(texts))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
