"""One loss for each record, from logits: what a transformers model of any class gives when it is not asked for its own loss.

The loss that a model computes for `labels=` is a mean over all tokens of the batch: how much one caption's tokens weigh depends on how
long the others are, so taking one record out moves the gradient of all others, and no clip bounds that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers.models.auto import modeling_auto as auto

from secagg.dp.local.sampling import Batch
from secagg.errors import ConfigError

Loss: TypeAlias = Callable[[Any, Batch], torch.Tensor]
"""(model, batch) to one value for each record, each from its own record alone."""

IGNORED = -100
"""The label of a token that is given, not predicted."""


def caption_loss(model: Any, batch: Batch) -> torch.Tensor:  # noqa: ANN401  # peft wraps any class
    """Cross-entropy of each record's own labels, averaged over the tokens of that record alone: shape (records,).

    For causal models a token is predicted from those before it; for encoder-decoders (text or pictures) labels are shifted to the decoder's
    input as the model itself does it; masked models and classifiers predict in place.

    Args:
        model: a transformers model, in peft or not.
        batch: its usual inputs and `labels`; tokens labelled −100 do not count.

    Raises:
        ConfigError: no labels, or a class whose labels this function does not know: then write a loss of your own.
    """
    inputs = dict(batch)
    labels = inputs.pop("labels", None)
    if labels is None:
        raise ConfigError(f"a batch has {', '.join(batch) or 'nothing'} and no `labels`: add them, or give a loss of your own")
    inner = inner_model(model)
    kind = _kind(inner)
    if kind == "seq2seq" and "decoder_input_ids" not in inputs:
        inputs["decoder_input_ids"] = _shifted(inner, labels)
    if kind in ("causal", "seq2seq"):
        inputs["use_cache"] = False  # type: ignore[assignment]  # an option beside the tensors
    logits = model(**inputs).logits
    if kind == "class":
        return cross_entropy(logits, labels, reduction="none")
    if kind == "causal":
        logits, labels = logits[:, :-1], labels[:, 1:]
    return mean_per_record(logits, labels)


def mean_per_record(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the labelled tokens of each record, (records, tokens, vocabulary) to (records,); 0 where none is labelled."""
    each = cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    counts = (labels != IGNORED).sum(1)
    return each.sum(1) / counts.clamp(min=1)


def inner_model(model: Any) -> nn.Module:  # noqa: ANN401  # peft wraps any class
    """The transformers model inside a peft model."""
    get = getattr(model, "get_base_model", None)
    found: nn.Module = get() if callable(get) else model
    return found


_KINDS: Mapping[str, tuple[str, ...]] = {
    "seq2seq": ("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",),
    "causal": ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",),
    "masked": ("MODEL_FOR_MASKED_LM_MAPPING_NAMES", "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES"),
    "class": ("MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES"),
}


def _kind(model: nn.Module) -> str:
    name, config = type(model).__name__, getattr(model, "config", None)
    if (problem := getattr(config, "problem_type", None)) in ("regression", "multi_label_classification"):
        raise ConfigError(f"problem_type={problem!r}: its loss is not cross-entropy; give a loss of your own, one value a record")
    if name in ("VisionEncoderDecoderModel", "EncoderDecoderModel"):
        return "seq2seq"
    for kind, tables in _KINDS.items():
        for table in tables:
            for known in getattr(auto, table).values():
                if name == known or (isinstance(known, tuple | list) and name in known):
                    return kind
    raise ConfigError(
        f"{name}: no loss is known for its labels; give `loss`, a function (model, batch) that returns one value for each record and"
        " looks at that record alone"
    )


def _shifted(model: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401  # transformers' classes differ in this method
    prepare = getattr(model, "prepare_decoder_input_ids_from_labels", None)
    if callable(prepare):
        made: torch.Tensor = prepare(labels=labels)
        return made
    config = model.config
    start, pad = config.decoder_start_token_id, config.pad_token_id
    if start is None or pad is None:
        raise ConfigError("the model's configuration has no decoder_start_token_id or no pad_token_id: set both, or give decoder_input_ids")
    shifted = labels.new_full(labels.shape, start)
    shifted[:, 1:] = labels[:, :-1]
    return shifted.masked_fill(shifted == IGNORED, pad)
