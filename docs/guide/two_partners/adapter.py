"""What all partners agree on before the first round: the base model, and the shape of the adapter."""

from __future__ import annotations

from pathlib import Path

from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

HERE = Path(__file__).parent


def load(rank: int = 8) -> tuple[PeftModel, PreTrainedTokenizerFast]:
    """The base model out of the folder beside this file, a fresh adapter around it, and its tokenizer."""
    base = AutoModelForSequenceClassification.from_pretrained(HERE / "base", local_files_only=True)
    shape = LoraConfig(task_type=TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, target_modules=["query", "value", "dense"])
    return get_peft_model(base, shape), AutoTokenizer.from_pretrained(HERE / "base", local_files_only=True)
