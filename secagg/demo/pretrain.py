"""Make the base model that the demo ships: `python -m secagg.demo.pretrain --out FOLDER`.

It learns two things, side by side. From pictures of coloured shapes: to see, and to say what an instruction asks for. From
sentences of the three trades beside a blank picture: which words go together. It never sees a street, a person or a device, so
it starts the demo fluent and wrong. One run on one machine with one thread is reproducible; another processor may round
differently, which is why the shipped files are pinned by hash rather than made anew.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, VisionEncoderDecoderModel

from secagg.demo.captioner import PATCH, WIDE, build_config, build_tokenizer, save_base
from secagg.demo.captions import LANGUAGES, SLOTS, every_caption, tokens
from secagg.demo.scenes import HEIGHT, WIDTH, Picture
from secagg.demo.shapes import COLOURS, PATTERNS, SHAPES, draw_shapes, every_sentence
from secagg.demo.training import IGNORED, Lessons, Question, caption_loss

_CONSOLE = Console(highlight=False)

SEED = 7
STEPS = 6000
PICTURES, CAPTIONS = 32, 96
"""Pictures in a batch, and captions of them: a random part, since every picture has six."""
SHELF, BLANK = 2000, 500
"""Pictures of shapes and blank ones that are drawn at once and used for `SHELF_STEPS` steps."""
SHELF_STEPS = 100
PEAK, WARM_UP = 2e-3, 200
TAGS = (len(SHAPES) + 1, len(COLOURS), len(PATTERNS))
"""What a patch can show: a shape or the ground, a colour, a pattern."""


class Shelf:
    """A stock of pictures with captions, and for every patch of a picture of shapes what it shows."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, rng: np.random.Generator) -> None:
        drawings = [draw_shapes(rng) for _ in range(SHELF)]
        shapes = [(Question(n, *about), text) for n, drawing in enumerate(drawings) for about, text in drawing.captions.items()]
        blanks, sentences = _blanks(rng)
        self.lessons = Lessons(tokenizer, [drawing.picture for drawing in drawings] + blanks, shapes + sentences)
        self.tags = torch.full((SHELF + BLANK, (HEIGHT // PATCH) * (WIDTH // PATCH), len(TAGS)), IGNORED)
        self.tags[:SHELF] = torch.from_numpy(np.stack([drawing.tags for drawing in drawings])).flatten(1, 2)


def pretrain(steps: int = STEPS) -> tuple[VisionEncoderDecoderModel, PreTrainedTokenizerFast]:
    """The base model and its tokenizer, from nothing."""
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    texts = [*(text for *_, text in _sentences()), *every_sentence()]
    tokenizer = build_tokenizer(sorted({token for text in texts for token in tokens(text)}))
    model = VisionEncoderDecoderModel(config=build_config(len(tokenizer)))
    tagger = torch.nn.Linear(WIDE, sum(TAGS))
    parameters = [*model.parameters(), *tagger.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=PEAK, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    model.train()
    start = time.perf_counter()
    for step in range(steps):
        if step % SHELF_STEPS == 0:
            shelf = Shelf(tokenizer, rng)
        optimiser.zero_grad()
        caption, tags = _losses(model, tagger, shelf, rng)
        (caption + tags).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 250 == 249:
            taken = time.perf_counter() - start
            _CONSOLE.print(f"{step + 1}/{steps}: captions {caption.item():.3f}, patches {tags.item():.3f}, {taken:.0f} s")
    return model, tokenizer


def _losses(
    model: VisionEncoderDecoderModel, tagger: torch.nn.Linear, shelf: Shelf, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Captions, and what each patch shows; the second teaches a small encoder to see long before captions alone would."""
    pictures = rng.integers(SHELF + BLANK, size=PICTURES).tolist()
    batch = shelf.lessons.batch(pictures)
    chosen = torch.from_numpy(rng.permutation(len(batch.seats))[:CAPTIONS])
    seen = model.encoder(pixel_values=batch.pixels).last_hidden_state
    caption = caption_loss(model, seen[batch.seats[chosen]], batch.inputs[chosen], batch.targets[chosen])
    guesses = tagger(seen[:, 1:]).split(TAGS, dim=-1)  # the first place is the class token
    truths = shelf.tags[pictures].unbind(-1)
    losses = [
        cross_entropy(guess.flatten(0, 1), truth.flatten(), ignore_index=IGNORED) for guess, truth in zip(guesses, truths, strict=True)
    ]
    return caption, torch.stack(losses).sum()


def _blanks(rng: np.random.Generator) -> tuple[list[Picture], list[tuple[Question, str]]]:
    """Plain pictures, each with six sentences of the trades: their words are learned, and that no picture goes with them."""
    sentences = _sentences()
    pictures: list[Picture] = [np.full((HEIGHT, WIDTH, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(BLANK)]
    picks = rng.integers(len(sentences), size=(BLANK, 6))
    return pictures, [
        (Question(SHELF + n, aspect, language), text)
        for n, row in enumerate(picks)
        for aspect, language, text in (sentences[k] for k in row)
    ]


def _sentences() -> list[tuple[str, str, str]]:
    return [(aspect, language, text) for aspect in SLOTS for language in LANGUAGES for text in every_caption(aspect, language)]


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def main() -> None:
    """The command."""
    arguments = argparse.ArgumentParser(description="Make the base model of the demo.")
    arguments.add_argument("--out", type=Path, required=True, help="folder for config.json, model.safetensors and tokenizer.json")
    arguments.add_argument("--steps", type=int, default=STEPS)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    hashes = save_base(*pretrain(given.steps), given.out)
    _CONSOLE.print("to pin in secagg/demo/captioner.py:")
    for name, digest in hashes.items():
        _CONSOLE.print(f'    "{name}": "{digest}",', soft_wrap=True)


if __name__ == "__main__":
    main()
