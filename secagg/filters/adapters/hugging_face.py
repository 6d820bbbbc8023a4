"""A token-classification model of Hugging Face transformers as a source of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secagg.errors import ConfigError
from secagg.filters.adapters.stretches import PERSONS, Span, as_source
from secagg.filters.detector import Source

_LONGEST = 512
"""Tokens read at once where the tokenizer does not say what its model can take."""
_UNBOUNDED = 10**6


def from_hugging_face(folder: str | Path, *, labels: Mapping[str, str] = PERSONS) -> Source:
    """A source from a folder that holds a model for token classification and its fast tokenizer, as `save_pretrained` writes them.

    `labels` maps the model's labels, without `B-` and `I-`, to entities; a finding's confidence is the model's score. Text beyond the
    model's window is read in windows that overlap by a quarter.

    Raises:
        ConfigError: transformers is not installed, or the folder holds no such model. Nothing is fetched from a hub.
    """
    classify = _pipeline(Path(folder))

    def read(text: str) -> Iterator[Span]:
        found = classify(text) if text.strip() else []
        return (Span(int(one["start"]), int(one["end"]), str(one["entity_group"]), float(one["score"])) for one in found)

    return as_source(read, "names hugging face", labels)


def _pipeline(folder: Path) -> Any:  # noqa: ANN401
    try:
        from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
    except ImportError as error:
        raise ConfigError("names from a Hugging Face model need transformers: pip install 'secagg[train]'") from error
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; models are read from a folder and never downloaded")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForTokenClassification.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder}: no token-classification model with its tokenizer: {type(error).__name__}") from error
    if not tokenizer.is_fast:
        raise ConfigError(f"{folder}: the tokenizer is not a fast one, and gives no offsets; save it with tokenizer.json")
    if tokenizer.model_max_length > _UNBOUNDED:
        tokenizer.model_max_length = getattr(model.config, "max_position_embeddings", _LONGEST)
    return pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple", stride=tokenizer.model_max_length // 4
    )
