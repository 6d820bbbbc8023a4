"""A step of DP-SGD against the same step without privacy, and against Opacus alone, on one captioner with LoRA.

All take the same batch of captions through the same model: forward, backward, a step of AdamW. `ours` is what `secagg.dp.local.train`
does in a step: per-sample gradients, clipping and sums in float64, noise from the operating system on a grid. `opacus` is its
own optimiser on the same hooks, with noise from torch's generator: less is done (float32, a generator that can be foretold).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Line, arguments, show

CAPTIONS = 32


def captioner(width: int, rank: int) -> Any:
    """A vision encoder-decoder with LoRA; weights at random, because time does not depend on them."""
    import warnings

    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, VisionEncoderDecoderConfig, VisionEncoderDecoderModel, ViTConfig

    heads = max(width // 64, 1)
    vision = ViTConfig(
        hidden_size=width, num_hidden_layers=4, num_attention_heads=heads, intermediate_size=4 * width, image_size=64, patch_size=8
    )
    text = GPT2Config(
        n_embd=width,
        n_layer=4,
        n_head=heads,
        n_positions=64,
        vocab_size=2000,
        bos_token_id=0,
        eos_token_id=1,
        add_cross_attention=True,
        is_decoder=True,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, text)
    config.decoder_start_token_id = config.pad_token_id = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(
            VisionEncoderDecoderModel(config),
            LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value", "q_proj", "v_proj", "c_attn"], fan_in_fan_out=False),
        )


def batch() -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randn(CAPTIONS, 3, 64, 64), "labels": torch.randint(2, 2000, (CAPTIONS, 24))}


def stepper(kind: str, width: int, rank: int) -> Callable[[], None]:
    """A function that takes one step; whatever it needs is built already."""
    from secagg.dp.local import GaussianNoise, PrivateOptimiser, caption_loss, per_sample_gradients

    torch.manual_seed(0)
    model, given = captioner(width, rank), batch()
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    if kind == "plain":

        def plain() -> None:
            optimiser.zero_grad()
            caption_loss(model, given).mean().backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()

        return plain
    model.hooks = per_sample_gradients(model)
    model.hooks.__enter__()
    if kind == "opacus":
        from opacus.optimizers import DPOptimizer

        private = DPOptimizer(optimiser, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=CAPTIONS, loss_reduction="mean")
    else:
        values = sum(parameter.numel() for parameter in parameters)
        noise = GaussianNoise(noise_multiplier=1.0, clip=1.0, values=values, most=1000, entropy=os.urandom)
        private = PrivateOptimiser(optimiser, noise, clip=1.0, expected=CAPTIONS)

    def step() -> None:
        if kind == "ours":
            private.owned_by(torch.arange(CAPTIONS))
        caption_loss(model, given).sum().backward()
        private.step()
        private.zero_grad()

    return step


def peak(kind: str, width: int, rank: int) -> float:
    """Peak memory of a process that takes five steps, in MiB."""
    program = f"from benchmarks.private import steps_and_peak; steps_and_peak({kind!r}, {width}, {rank})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def steps_and_peak(kind: str, width: int, rank: int) -> None:
    torch.set_num_threads(1)
    step = stepper(kind, width, rank)
    for _ in range(5):
        step()
    status = Path("/proc/self/status").read_text()  # rusage would tell of the parent too: it is handed on where a process is started
    print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024)


def main() -> None:
    parser = arguments(__doc__, 0)
    parser.add_argument("--width", type=int, default=256, help="width of the captioner")
    parser.add_argument("--rank", type=int, default=8, help="rank of its adapter")
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = {kind: stepper(kind, options.width, options.rank) for kind in ("plain", "opacus", "ours")}
    took: dict[str, list[float]] = {kind: [] for kind in steps}
    for turn in range(options.repeats + 2):
        for kind, step in steps.items():
            began = time.process_time()
            step()
            if turn >= 2:  # the first two fill caches
                took[kind].append((time.process_time() - began) * 1000)
    median = {kind: statistics.median(found) for kind, found in took.items()}
    memory = {kind: peak(kind, options.width, options.rank) for kind in steps}
    lines = [
        Line("step of DP-SGD", median["ours"], "plain step", median["plain"], 1.2),
        Line("step of DP-SGD", median["ours"], "Opacus alone", median["opacus"]),
        Line("Opacus alone", median["opacus"], "plain step", median["plain"]),
    ]
    facts = {f"peak MiB {kind}": round(found) for kind, found in memory.items()}
    facts |= {"memory ratio": round(memory["ours"] / memory["plain"], 3), "goal of it": 1.15, "captions": CAPTIONS, "width": options.width}
    show("A private step (medians)", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
