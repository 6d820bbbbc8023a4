"""Real transformers model classes, tiny, built from configurations: no weights, no hub."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)

VOCABULARY, WIDTH = 40, 16
_SIZES: dict[str, Any] = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def _gpt2_config(**more: Any) -> GPT2Config:
    return GPT2Config(n_layer=1, n_head=2, n_embd=WIDTH, n_positions=16, vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=1, **more)


def gpt2() -> nn.Module:
    return GPT2LMHeadModel(_gpt2_config())


def llama() -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(**_SIZES, num_key_value_heads=2, vocab_size=VOCABULARY))


def bert() -> nn.Module:
    config = BertConfig(**_SIZES, vocab_size=VOCABULARY, max_position_embeddings=16)
    config.num_labels = 3
    return BertForSequenceClassification(config)


def captioner() -> nn.Module:
    vision = ViTConfig(**_SIZES, image_size=8, patch_size=4)
    text = _gpt2_config(add_cross_attention=True, is_decoder=True)
    return VisionEncoderDecoderModel(VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, text))


FAMILIES: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "gpt2": (gpt2, ["c_attn"]),
    "llama": (llama, ["q_proj", "v_proj"]),
    "bert": (bert, ["query", "value"]),
    "captioner": (captioner, ["query", "q_proj", "c_attn", "q_attn"]),
}


def text_batch(width: int = 5) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.arange(2 * width).reshape(2, width) % VOCABULARY}


def batch(family: str) -> dict[str, torch.Tensor]:
    if family == "captioner":
        return {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8), "decoder_input_ids": text_batch()["input_ids"]}
    return text_batch()


def adapted(family: str = "llama", *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any) -> PeftModel:
    """A model of the family with base weights and a fresh rank-2 adapter drawn from `seed`."""
    build, targets = FAMILIES[family]
    torch.manual_seed(seed)
    settings = {"r": 2, "target_modules": targets, "fan_in_fan_out": family == "gpt2", **options}
    return with_adapter(build().to(dtype), LoraConfig(**settings))


def with_adapter(model: nn.Module, config: PeftConfig, **options: Any) -> PeftModel:
    """`get_peft_model` without the deprecation notices of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = get_peft_model(model, config, **options)
    assert isinstance(wrapped, PeftModel)
    return wrapped


def nudged(state: Mapping[str, torch.Tensor], seed: int, size: float = 0.1) -> dict[str, torch.Tensor]:
    """The state after some training: every entry moved."""
    generator = torch.Generator().manual_seed(seed)
    return {name: value + (size * torch.randn(value.shape, generator=generator)).to(value.dtype) for name, value in state.items()}
