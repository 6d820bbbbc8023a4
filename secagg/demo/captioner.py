"""The model: a tiny vision transformer, a tiny text decoder that attends to it, and a LoRA adapter on both.

The classes are those of transformers and peft (ViT, MBart's decoder, VisionEncoderDecoder); only the sizes are small, so that
three companies can train on two cores. The base is shipped in `assets/`, was made by `python -m secagg.demo.pretrain`, and is
refused if a byte of it differs from what is pinned here.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import MBartConfig, PreTrainedTokenizerFast, VisionEncoderDecoderConfig, VisionEncoderDecoderModel, ViTConfig

from secagg.demo.captions import COMPANIES, LANGUAGES
from secagg.demo.scenes import HEIGHT, WIDTH
from secagg.demo.shapes import GENERIC
from secagg.errors import ConfigError

ASSETS = Path(__file__).parent / "assets"
PINNED: Mapping[str, str] = {
    "config.json": "9bb4e226e436f95340a14d70d8dd74df33174d4b1ab511fd670f1f7151f6bac8",
    "model.safetensors": "862e64e12b8a404122da1897df0c59c5d46537ac7fce1ef7ee41cfa1cd90d5cf",
    "tokenizer.json": "816d0b95b5858eefb5ffaacaf3492746a13998340ddde1bc884eaf0c7616b692",
}
"""SHA-256 of the shipped files."""

PATCH, WIDE, LAYERS, HEADS = 4, 64, 2, 4
LONGEST = 26
"""Tokens of the longest caption with its instruction and its end."""
TARGETS = ("fc1", "fc2", "q_proj", "v_proj")
"""The linear layers that get a LoRA adapter, in the encoder and in the decoder (cross-attention too)."""
DECODER_TARGETS = r".*decoder\..*(fc1|fc2|q_proj|v_proj)"
"""The same layers of the decoder alone, as peft matches names: an encoder that nobody trains sees each picture once for all."""
RANK, ALPHA = 8, 16

PAD, START, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
INSTRUCTIONS = tuple(f"<{name}>" for name in (*COMPANIES, *GENERIC, *LANGUAGES))


def build_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """One token per English word and per Chinese character; the special tokens come first, so padding is 0."""
    vocabulary = {token: number for number, token in enumerate([PAD, START, END, UNKNOWN, *INSTRUCTIONS, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    by_character = pre_tokenizers.Split(Regex("[\u4e00-\u9fff]"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([by_character, pre_tokenizers.WhitespaceSplit()])
    return _as_fast(tokenizer)


def build_config(vocabulary: int) -> VisionEncoderDecoderConfig:
    """The sizes of the base model."""
    encoder = ViTConfig(
        hidden_size=WIDE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDE,
        image_size=(HEIGHT, WIDTH),
        patch_size=PATCH,
        initializer_range=0.1,  # transformers' 0.02 is meant for widths of 768 and more
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    decoder = MBartConfig(
        vocab_size=vocabulary,
        d_model=WIDE,
        decoder_layers=LAYERS,
        decoder_attention_heads=HEADS,
        decoder_ffn_dim=2 * WIDE,
        max_position_embeddings=LONGEST,
        init_std=0.1,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    config = cast("VisionEncoderDecoderConfig", VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder))
    config.pad_token_id, config.decoder_start_token_id, config.eos_token_id = 0, 1, 2
    config.tie_word_embeddings = False
    return config


def save_base(model: VisionEncoderDecoderModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> dict[str, str]:
    """Write the three files of a base, weights as float16; gives their SHA-256 by name, as `PINNED` wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.to_json_file(folder / "config.json")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    for name in PINNED:
        (folder / name).chmod(0o644)  # safetensors writes for the owner alone, and these are to be read by all
    return {name: _sha256(folder / name) for name in PINNED}


def load_base(folder: Path = ASSETS, pinned: Mapping[str, str] = PINNED) -> tuple[VisionEncoderDecoderModel, PreTrainedTokenizerFast]:
    """The shipped base, as float32 and without a look at any hub.

    Raises:
        ConfigError: a file is missing or is not the one that is pinned.
    """
    for name, expected in pinned.items():
        _refuse_other(folder / name, expected)
    with torch.random.fork_rng(devices=[]):  # transformers draws weights first, and the caller's generator is not ours to move
        model = VisionEncoderDecoderModel(config=VisionEncoderDecoderConfig.from_json_file(folder / "config.json"))
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    return model, _as_fast(Tokenizer.from_file(str(folder / "tokenizer.json")))


def with_adapter(model: VisionEncoderDecoderModel, seed: int, *, targets: str | Sequence[str] = TARGETS) -> PeftModel:
    """`model` with a new LoRA of rank 8 on `targets`: queries, values and both layers of each perceptron.

    24,576 trained values, or 14,336 with `DECODER_TARGETS`.
    Its A is drawn from `seed`, its B is zero; the global generator is left as it was.
    """
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=targets if isinstance(targets, str) else list(targets), lora_dropout=0.0, bias="none"
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft 0.21 asks transformers 5 for a property that was renamed
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        torch.manual_seed(seed)
        return cast("PeftModel", get_peft_model(model, config))


def _as_fast(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=list(INSTRUCTIONS),
        clean_up_tokenization_spaces=False,
    )


def _refuse_other(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ConfigError(f"{path} is missing: install secagg again, or make the base with `python -m secagg.demo.pretrain`")
    if (found := _sha256(path)) != expected:
        raise ConfigError(f"{path} has SHA-256 {found[:16]}…, {expected[:16]}… is pinned: install secagg again")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
