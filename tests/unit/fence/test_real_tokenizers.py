"""The fence on GPT-2's own vocabulary, through `generate` in every way and through every way to decode. Needs SECAGG_DATA."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessor, LogitsProcessorList, PreTrainedTokenizerFast

from secagg.filters.fence import Fence, Phrases
from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.processor import FenceLogitsProcessor
from secagg.filters.fence.streamers import FencedTextIteratorStreamer
from secagg.filters.fence.tokens import Vocabulary

pytestmark = pytest.mark.slow
FENCE = Fence(Phrases("list", ("project falcon", "三级片", "ass")))
SPELLED = ("project falcon", "Project  FALCON", "p r o j e c t falcon", "рroject fаlcon", "三 级 片", "ass", "a s s")


@pytest.fixture(scope="module")
def tokenizer():
    folder = os.environ.get("SECAGG_DATA")
    if not folder:
        pytest.skip("SECAGG_DATA is not set")
    made = PreTrainedTokenizerFast(tokenizer_file=str(Path(folder) / "vocabularies/gpt2.tokenizer.json"), eos_token="<|endoftext|>")
    made.pad_token = made.eos_token
    return made


@pytest.fixture(scope="module")
def fenced(tokenizer):
    return DecodingFence(FENCE, Vocabulary.of(tokenizer), eos=tokenizer.eos_token_id)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=8, n_layer=1, n_head=1, bos_token_id=end, eos_token_id=end)
    config.pad_token_id = end
    return GPT2LMHeadModel(config).eval()


class Wish(LogitsProcessor):
    """Says one spelling after another, each token of it whatever came before."""

    def __init__(self, tokenizer) -> None:
        self.ids = [token for text in SPELLED for token in tokenizer.encode(f" {text}.")]

    def __call__(self, input_ids, scores):
        scores = scores.clone()
        scores[:, self.ids[input_ids.shape[1] % len(self.ids)]] += 30
        return scores


def generate(model, tokenizer, processors, **how):
    prompts = tokenizer(["The", "The code name of"], return_tensors="pt", padding=True, padding_side="left", return_token_type_ids=False)
    if {"assistant_model", "prompt_lookup_num_tokens"} & set(how):
        prompts = tokenizer(["The"], return_tensors="pt", return_token_type_ids=False)
    torch.manual_seed(1)
    out = model.generate(**prompts, logits_processor=LogitsProcessorList(processors), max_new_tokens=48, **how)
    return out[:, prompts["input_ids"].shape[1] :]


WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "num_return_sequences": 2},
    "beams": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
    "assisted": {"do_sample": False},
    "prompt lookup": {"do_sample": False, "prompt_lookup_num_tokens": 3},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_generate_and_to_decode_is_clean(model, tokenizer, fenced, way):
    how = {**WAYS[way], **({"assistant_model": model} if way == "assisted" else {})}
    assert any(map(FENCE.check, tokenizer.batch_decode(generate(model, tokenizer, [Wish(tokenizer)], **how)))), "it must want to say it"
    processor = FenceLogitsProcessor(fenced, measure=True)
    out = generate(model, tokenizer, [Wish(tokenizer), processor], **how)
    assert processor.suppressed > 1
    for skip in (True, False):
        texts = tokenizer.batch_decode(out, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
        texts += [tokenizer.decode(row, skip_special_tokens=skip) for row in out]
        texts += [tokenizer.decode(row[:end], skip_special_tokens=skip) for row in out for end in range(len(row))]
        assert [FENCE.check(text) for text in texts if FENCE.check(text)] == []


def test_what_is_streamed_is_what_is_decoded(tokenizer, fenced):
    ids = tokenizer.encode("在三 project f🔥 al, con, ass")
    streamer = FencedTextIteratorStreamer(Fence(Phrases("other", ("nothing of it",))), tokenizer, skip_prompt=False)
    for token in ids:
        streamer.put(torch.tensor([token]))
    streamer.end()
    assert "".join(streamer) == tokenizer.decode(ids) == fenced.vocabulary.text(ids)


def test_a_text_generated_in_two_calls_is_fenced_over_the_cut(tokenizer, fenced):
    """What was generated first is the prompt of the second call, with an old processor that knows it and with a new one."""
    begun, rest = tokenizer.encode("the project fal"), tokenizer.encode("con")[0]
    for processor in (FenceLogitsProcessor(fenced), FenceLogitsProcessor(fenced)):
        for end in (*range(1, len(begun)), len(begun)):
            scores = processor(torch.tensor([begun[:end]]), torch.zeros(1, len(tokenizer)))
        assert scores[0, rest] == -torch.inf
    fresh = FenceLogitsProcessor(fenced)
    assert fresh(torch.tensor([begun]), torch.zeros(1, len(tokenizer)))[0, rest] == -torch.inf, "the prompt counts"
    cleared = fresh(torch.tensor([begun + tokenizer.encode(" x")]), torch.zeros(1, len(tokenizer)))
    assert cleared[0, rest] == 0
