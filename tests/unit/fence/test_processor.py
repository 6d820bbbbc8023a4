"""The logits processor inside transformers: every way to generate is fenced, and transformers' own list is not."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessor, LogitsProcessorList, NoBadWordsLogitsProcessor

from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.processor import FenceLogitsProcessor
from tests.unit.fence.test_decoding import EOS, FENCE, TEXTS, TINY

SECRET = [TEXTS.index(text) for text in ("a", "b", "b", "a", " ", "ca", " ")]


class Biased(LogitsProcessor):
    """Says the secret again and again, in tokenisations that change."""

    def __call__(self, input_ids, scores):
        scores = scores.clone()
        for row, ids in enumerate(input_ids):
            said = TINY.text(ids.tolist())
            for token, text in enumerate(TEXTS):
                if FENCE.check(said + text) and not FENCE.check(said):
                    scores[row, token] += 20
            scores[row, SECRET[len(ids) % len(SECRET)]] += 8
        return scores


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=EOS + 1, n_positions=64, n_embd=8, n_layer=1, n_head=1, bos_token_id=EOS, eos_token_id=EOS)
    config.pad_token_id = EOS
    return GPT2LMHeadModel(config).eval()


def generate(model, processors, *, prompts=((0,),), **how):
    length = max(map(len, prompts))
    ids = torch.tensor([[EOS] * (length - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    torch.manual_seed(1)
    out = model.generate(ids, attention_mask=mask, logits_processor=LogitsProcessorList(processors), max_new_tokens=24, **how)
    return [TINY.text(ids) for row in out.tolist() for ids in (row, row[length:])]


WAYS = [
    {"do_sample": False},
    {"do_sample": True},
    {"do_sample": True, "num_return_sequences": 8},
    {"do_sample": False, "num_beams": 4, "num_return_sequences": 3},
    {"do_sample": True, "num_beams": 3},
    {"do_sample": True, "prompts": ((1, 1), (0,), (1, 0, 3))},
    {"do_sample": True, "forced_eos_token_id": EOS},
    {"do_sample": False, "min_new_tokens": 20},
]


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS, ids=str)
def test_no_way_to_generate_says_what_is_blocked(model, how):
    assert any(FENCE.check(text) for text in generate(model, [Biased()], **how)), "the model must want to say it"
    processor = FenceLogitsProcessor(DecodingFence(FENCE, TINY, eos=EOS), measure=True)
    for text in generate(model, [Biased(), processor], **how):
        assert FENCE.check(text) == (), text
    assert processor.suppressed > 1


def test_assisted_decoding_is_fenced(model):
    fence = DecodingFence(FENCE, TINY, eos=EOS)
    for text in generate(model, [Biased(), FenceLogitsProcessor(fence)], assistant_model=model, do_sample=False):
        assert FENCE.check(text) == (), text


def test_the_list_of_transformers_lets_other_tokenisations_through(model):
    usual = NoBadWordsLogitsProcessor([[TEXTS.index("ab"), TEXTS.index("ba")]], eos_token_id=EOS)
    assert any(FENCE.check(text) for text in generate(model, [Biased(), usual], do_sample=True))


def test_where_nothing_is_left_the_sequence_ends():
    processor = FenceLogitsProcessor(DecodingFence(FENCE, TINY, eos=EOS))
    scores = torch.full((1, EOS + 1), -torch.inf)
    assert processor(torch.tensor([[0]]), scores).argmax() == EOS
    assert processor.dead_ends == 1


def test_ids_beyond_the_vocabulary_are_forbidden_and_the_argument_stays():
    processor = FenceLogitsProcessor(DecodingFence(FENCE, TINY, eos=EOS))
    scores = torch.zeros(1, EOS + 9)
    assert processor(torch.tensor([[0]]), scores)[0, EOS + 1 :].eq(-torch.inf).all()
    assert scores.eq(0).all()
