"""Teach and ask: minibatches of captioned pictures, a few steps of AdamW, and batched greedy answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, VisionEncoderDecoderModel
from transformers.modeling_outputs import BaseModelOutput

from secagg.demo.captioner import LONGEST
from secagg.demo.captions import join
from secagg.demo.scenes import Picture

IGNORED = -100
"""The target of a token that is given, not predicted."""
_ENCODED = 500
"""Pictures in a pass of the encoder."""


@dataclass(frozen=True, slots=True)
class Question:
    """An instruction about one picture of a batch; two tokens tell the model which aspect to speak of, and how."""

    picture: int
    aspect: str
    language: str

    @property
    def prompt(self) -> str:
        return f"<s> <{self.aspect}> <{self.language}>"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an adapter is trained. Fresh AdamW in each round: no optimiser state outlives it, so nothing but the adapter is shared."""

    learning_rate: float = 8e-3
    pictures: int = 16
    """Pictures in a batch; every caption of a chosen picture is in it."""
    beta2: float = 0.99
    """Shorter memory than usual, because a round is twenty steps."""
    gradient_norm: float = 1.0
    warm_up: int = 5
    """Steps before the full rate: AdamW's first steps go by signs alone, and averaged over companies they cost more than they bring."""


class Lessons:
    """Tensors to learn from: each picture once, and a row of token ids for each of its captions."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, pictures: Sequence[Picture], captions: Iterable[tuple[Question, str]]) -> None:
        questions, texts = zip(*captions, strict=True)
        rows = [f"{question.prompt} {text} </s>" for question, text in zip(questions, texts, strict=True)]
        ids: torch.Tensor = tokenizer(
            rows, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt", return_token_type_ids=False
        )["input_ids"]
        self.pixels = to_pixels(pictures)
        self.captions = len(texts)
        self.inputs = ids[:, :-1]
        self.targets = ids[:, 1:].masked_fill(ids[:, 1:] == tokenizer.pad_token_id, IGNORED)
        self.targets[:, :2] = IGNORED
        # A caption is learned up to the first word that the model has no token for: a note behind it, or what the sanitiser left of it.
        self.targets[(ids[:, 1:] == tokenizer.unk_token_id).cumsum(1) > 0] = IGNORED
        seats = np.array([question.picture for question in questions])
        self.seen: torch.Tensor | None = None
        self._rows = [torch.from_numpy(np.flatnonzero(seats == picture)) for picture in range(len(pictures))]

    def __len__(self) -> int:
        return len(self.pixels)

    def see(self, model: VisionEncoderDecoderModel) -> None:
        """Encode every picture once for all, into float16: for a model whose encoder nobody trains."""
        with torch.no_grad():
            passes = torch.split(self.pixels, _ENCODED)
            self.seen = torch.cat([model.encoder(pixel_values=some).last_hidden_state.half() for some in passes])

    def batch(self, pictures: Sequence[int]) -> Batch:
        """The chosen pictures with all their captions."""
        rows = [self._rows[picture] for picture in pictures]
        seats = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(row) for row in rows]))
        chosen = torch.cat(rows)
        places = torch.tensor(pictures)
        seen = None if self.seen is None else self.seen[places].float()
        return Batch(self.pixels[places], seats, self.inputs[chosen], self.targets[chosen], seen)


@dataclass(frozen=True, slots=True)
class Batch:
    """b pictures and c captions of them."""

    pixels: torch.Tensor
    """(b, 3, 24, 32), from -1 to 1."""
    seats: torch.Tensor
    """(c,): which picture a caption belongs to, so that each picture is encoded once."""
    inputs: torch.Tensor
    """(c, length) token ids."""
    targets: torch.Tensor
    """(c, length): the ids one place further on, or `IGNORED`."""
    seen: torch.Tensor | None = None
    """(b, patches, width): what a frozen encoder made of the pictures; None where the model encodes them in each step."""


def to_pixels(pictures: Sequence[Picture]) -> torch.Tensor:
    """(n, 3, 24, 32), from -1 to 1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def caption_loss(model: VisionEncoderDecoderModel, seen: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the captions, given what the encoder saw: (c, patches, width)."""
    logits = model(encoder_outputs=BaseModelOutput(last_hidden_state=seen), decoder_input_ids=inputs, use_cache=False).logits
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def teach(model: VisionEncoderDecoderModel, lessons: Lessons, recipe: Recipe, *, steps: int, seed: Sequence[int]) -> None:
    """Train the parameters of `model` that require gradients, in place, on `steps` batches drawn from `seed`."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0, betas=(0.9, recipe.beta2))
    rng = np.random.default_rng(seed)
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min((step + 1) / (1 + recipe.warm_up), 1.0)
        batch = lessons.batch(rng.choice(len(lessons), min(recipe.pictures, len(lessons)), replace=False).tolist())
        optimiser.zero_grad()
        seen = model.encoder(pixel_values=batch.pixels).last_hidden_state if batch.seen is None else batch.seen
        caption_loss(model, seen[batch.seats], batch.inputs, batch.targets).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, recipe.gradient_norm)
        optimiser.step()


@torch.no_grad()
def answer(
    model: VisionEncoderDecoderModel,
    tokenizer: PreTrainedTokenizerFast,
    pixels: torch.Tensor,
    questions: Sequence[Question],
    *,
    longest: int,
) -> list[str]:
    """Greedy answers of at most `longest` tokens to questions about `pixels`, all at once and with the decoder's cache."""
    model.eval()  # type: ignore[no-untyped-call]
    seen = model.encoder(pixel_values=pixels).last_hidden_state[torch.tensor([question.picture for question in questions])]
    prompts = [question.prompt for question in questions]
    latest: torch.Tensor = tokenizer(prompts, return_tensors="pt", return_token_type_ids=False)["input_ids"]
    done = torch.zeros(len(questions), dtype=torch.bool)
    said: list[torch.Tensor] = []
    cache = None
    while len(said) < longest and not bool(done.all()):
        output = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=seen), decoder_input_ids=latest, past_key_values=cache, use_cache=True
        )
        cache = output.past_key_values
        latest = output.logits[:, -1:].argmax(-1).masked_fill(done[:, None], tokenizer.pad_token_id)
        done |= latest[:, 0] == tokenizer.eos_token_id
        said.append(latest)
    return [join(text) for text in tokenizer.batch_decode(torch.cat(said, dim=1), skip_special_tokens=True)]
