"""A replacement or a refusal where the model wants to say what is blocked: said through the fence, and the text always goes on or ends."""

from __future__ import annotations

import pytest
import torch

from secagg.errors import ConfigError
from secagg.filters.fence import processor as module
from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.instead import Instead
from secagg.filters.fence.processor import FenceLogitsProcessor
from tests.unit.fence.test_decoding import EOS, FENCE, TEXTS, TINY
from tests.unit.fence.test_processor import WAYS, Biased, generate, model  # noqa: F401  # a fixture

SORRY = [TEXTS.index(text) for text in (".", "aa b", "c", ".")]
FENCED = DecodingFence(FENCE, TINY, eos=EOS)


def greedy(processor: FenceLogitsProcessor, *, wanted: list[int], steps: int = 12) -> list[int]:
    """What a model says that wants the tokens of `wanted` in turn, with all its probability, however often it is stopped."""
    ids = [TEXTS.index("b")]
    for _ in range(steps):
        scores = torch.zeros(1, EOS + 1)
        scores[0, wanted[(len(ids) - 1) % len(wanted)]] = 30.0
        ids.append(int(processor(torch.tensor([ids]), scores).argmax()))
        if ids[-1] == EOS:
            break
    return ids[1:]


WANTED = [TEXTS.index("ab"), TEXTS.index("ba")]


def test_a_refusal_is_said_whole_and_ends_the_text():
    processor = FenceLogitsProcessor(FENCED, instead=Instead(SORRY))
    assert greedy(processor, wanted=WANTED) == [WANTED[0], *SORRY, EOS]
    assert processor.replaced == 1


def test_a_replacement_is_said_and_the_model_goes_on():
    processor = FenceLogitsProcessor(FENCED, instead=Instead(SORRY, end=False))
    said = greedy(processor, wanted=WANTED, steps=14)
    assert said[:5] == [WANTED[0], *SORRY]
    assert said[5] in WANTED
    assert processor.replaced > 1
    assert FENCE.check(TINY.text(said)) == ()


def test_without_one_the_model_says_its_next_choice():
    said = greedy(FenceLogitsProcessor(FENCED), wanted=WANTED)
    assert EOS not in said
    assert not set(SORRY) <= set(said)


def test_a_token_of_it_that_would_complete_a_phrase_is_not_said():
    processor = FenceLogitsProcessor(FENCED, instead=Instead([TEXTS.index("."), TEXTS.index("ba")]))
    assert greedy(processor, wanted=WANTED) == [WANTED[0], TEXTS.index("."), EOS], "ab.ba holds abba"


@pytest.mark.slow
@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("how", WAYS, ids=str)
def test_every_way_to_generate_is_fenced_with_a_replacement(model, how, end):  # noqa: F811
    processor = FenceLogitsProcessor(FENCED, instead=Instead(SORRY, end=end, above=0.3))
    for text in generate(model, [Biased(), processor], **how):
        assert FENCE.check(text) == (), text
    assert processor.replaced > 0


def test_assisted_decoding_is_fenced_with_a_replacement(model):  # noqa: F811
    processor = FenceLogitsProcessor(FENCED, instead=Instead(SORRY, above=0.3))
    for text in generate(model, [Biased(), processor], assistant_model=model, do_sample=False):
        assert FENCE.check(text) == (), text


def test_prefixes_that_were_forgotten_are_read_again_as_prompts(monkeypatch, model):  # noqa: F811
    monkeypatch.setattr(module, "_KEPT", 2)
    processor = FenceLogitsProcessor(FENCED)
    for text in generate(model, [Biased(), processor], do_sample=True, num_return_sequences=8):
        assert FENCE.check(text) == (), text
    assert len(processor._rows) <= 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Instead([]),
        lambda: Instead([0], above=0.0),
        lambda: Instead([0], above=1.5),
        lambda: FenceLogitsProcessor(FENCED, instead=Instead([TEXTS.index("ab"), TEXTS.index("ba")])),
        lambda: FenceLogitsProcessor(FENCED, instead=Instead([10_000])),
    ],
)
def test_a_replacement_that_cannot_be_said_is_refused(make):
    with pytest.raises(ConfigError):
        make()
