"""A real, tiny model of transformers that has learnt one text by heart, with a secret in it."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

SECRET = "project falcon"
TEXT = f"the code name is {SECRET} and the valve is closed <|end|>"
CHAT = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


@cache
def parrot() -> tuple[Any, Any]:
    """The model and its tokenizer: byte-level pairs, two layers, trained for a second on the one text."""
    level = Tokenizer(models.BPE())
    level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    level.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    level.train_from_iterator([TEXT, "say no comment"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=level, eos_token="<|end|>", pad_token="<|end|>")
    tokenizer.chat_template = CHAT
    end = tokenizer.eos_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=end, eos_token_id=end, pad_token_id=end
        )
        model = GPT2LMHeadModel(config)
        ids = torch.tensor([tokenizer.encode(TEXT)])
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(80):
            loss = model(ids, labels=ids).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval(), tokenizer
