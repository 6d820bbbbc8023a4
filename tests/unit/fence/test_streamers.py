"""Streamers and the pipeline of transformers behind the fence: a memorised secret is not shown, in any piece."""

from __future__ import annotations

from threading import Thread

import pytest
import torch
from transformers import TextIteratorStreamer, pipeline

from secagg.errors import ConfigError
from secagg.filters.fence import Fence, Phrases
from secagg.filters.fence.instead import Instead
from secagg.filters.fence.monitor import Monitor
from secagg.filters.fence.pipeline import FencedPipeline
from secagg.filters.fence.streamers import FencedTextIteratorStreamer, FencedTextStreamer
from tests.unit.fence.parrot import SECRET, parrot

FENCE = Fence(Phrases("projects", (SECRET,)))
PROMPT = "the code name is"


@pytest.fixture(scope="module")
def bird():
    return parrot()


def generate(bird, streamer) -> None:
    model, tokenizer = bird
    inputs = tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)
    model.generate(**inputs, streamer=streamer, max_new_tokens=40, do_sample=False)


def test_an_iterating_streamer_leaks_without_the_fence_and_not_with_it(bird):
    plain = TextIteratorStreamer(bird[1], timeout=30, skip_special_tokens=True)
    generate(bird, plain)
    assert SECRET in "".join(plain), "the model must want to say it"
    monitor = Monitor(FENCE)
    streamer = FencedTextIteratorStreamer(FENCE, bird[1], timeout=30, skip_special_tokens=True, monitor=monitor)
    thread = Thread(target=generate, args=(bird, streamer))
    thread.start()
    pieces = list(streamer)
    thread.join()
    assert "".join(pieces).startswith("the code name is ████")
    assert FENCE.check("".join(pieces)) == ()
    assert len(pieces) > 3, "it comes in pieces"
    assert b'secagg_fence_hits_total{rule="projects"} 1.0' in monitor.render()


def test_a_printing_streamer_is_fenced_text_after_text(bird, capsys):
    streamer = FencedTextStreamer(FENCE, bird[1], skip_prompt=True, skip_special_tokens=True)
    for _ in range(2):
        generate(bird, streamer)
        said = capsys.readouterr().out
        assert "████" in said
        assert FENCE.check(said) == ()


@pytest.mark.parametrize(
    "how", [{}, {"return_full_text": False}, {"do_sample": True, "num_return_sequences": 2}, {"num_beams": 3}], ids=str
)
def test_a_pipeline_is_fenced(bird, how):
    model, tokenizer = bird
    pipe = pipeline("text-generation", model=model, tokenizer=tokenizer)
    assert SECRET in str(pipe(PROMPT, max_new_tokens=40, **({"do_sample": False} | how)))
    monitor = Monitor(FENCE)
    said = FencedPipeline(pipe, FENCE, monitor=monitor)([PROMPT, "say"], max_new_tokens=40, **({"do_sample": False} | how))
    assert FENCE.check(str(said)) == ()
    assert len(said) == 2
    assert b"secagg_fence_texts_total" in monitor.render()


def test_a_pipeline_gives_no_blocked_prompt_back(bird):
    pipe = FencedPipeline(pipeline("text-generation", model=bird[0], tokenizer=bird[1]), FENCE)
    assert FENCE.check(pipe(SECRET, max_new_tokens=4)[0]["generated_text"]) == ()


def test_a_pipeline_refuses_in_the_operators_words(bird):
    pipe = pipeline("text-generation", model=bird[0], tokenizer=bird[1])
    fenced = FencedPipeline(pipe, FENCE, instead=Instead.of(bird[1], " no comment"))
    assert fenced(PROMPT, max_new_tokens=40, do_sample=False, return_full_text=False)[0]["generated_text"].endswith("no comment")


def test_a_pipeline_that_cannot_be_fenced_is_refused(bird):
    class Other:
        task = "fill-mask"

    with pytest.raises(ConfigError, match="fill-mask"):
        FencedPipeline(Other(), FENCE)
    pipe = pipeline("text-generation", model=bird[0], tokenizer=bird[1])
    pipe.model.generation_config.eos_token_id, kept = None, pipe.model.generation_config.eos_token_id
    tokenizer = bird[1]
    end, tokenizer.eos_token = tokenizer.eos_token, None
    with pytest.raises(ConfigError, match="end of the sequence"):
        FencedPipeline(pipe, FENCE)
    pipe.model.generation_config.eos_token_id, tokenizer.eos_token = kept, end


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
