"""A small classifier with random weights, in the folder `base`: `python make_base.py`. Stands for the open model that you adapt."""

# ruff: noqa: S106  # a token of text is no password
from __future__ import annotations

import re

import torch
from make_data import LABELS, OPENINGS, PLACES
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

texts = [*OPENINGS, *PLACES, *(phrase for phrases in LABELS.values() for phrase in phrases)]
words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text)})
vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", *words])}
inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
inner.pre_tokenizer = pre_tokenizers.Whitespace()
inner.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", vocabulary["[CLS]"])])
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")

torch.manual_seed(7)
names = dict(enumerate(LABELS))
config = BertConfig(
    vocab_size=len(vocabulary),
    hidden_size=64,
    num_hidden_layers=1,
    num_attention_heads=4,
    intermediate_size=128,
    max_position_embeddings=32,
    initializer_range=0.15,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    id2label=names,
    label2id={label: number for number, label in names.items()},
)
BertForSequenceClassification(config).save_pretrained("base")
tokenizer.save_pretrained("base")
