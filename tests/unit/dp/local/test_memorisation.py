"""The meter on real trainings: what is repeated is found, and privacy hides it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from secagg.dp.accountant import Steps, account
from secagg.dp.audit.bound import lower_bound
from secagg.dp.audit.canaries import Space, flips, spread
from secagg.dp.audit.exposure import exposure
from secagg.dp.audit.extraction import extraction
from secagg.dp.audit.reading import Reading
from secagg.dp.local import Privacy, caption_loss, train
from secagg.errors import ConfigError
from tests.unit.dp.local.data import entropy, model, records, stacked

SPACE = Space(tuple(range(20, 36)), 5)
PROMPT = (3, 4, 5)


def canary(secret, family="gpt2"):
    tokens = torch.tensor([*PROMPT, *secret])
    labels = tokens.clone()
    labels[: len(PROMPT)] = -100
    if family == "captioner":
        return {
            "pixel_values": torch.linspace(-1, 1, 192).reshape(3, 8, 8),
            "decoder_input_ids": torch.cat([torch.zeros(1, dtype=torch.long), tokens[:-1]]),
            "labels": labels,
        }
    return {"input_ids": tokens, "attention_mask": torch.ones(8, dtype=torch.long), "labels": labels}


def able(family="gpt2"):
    """A model that can say a word surely: its frozen random words are far enough apart."""
    given = model(family, r=8, target_modules=["c_attn", "c_proj", "c_fc"])
    base = given.get_base_model()
    decoder = base.decoder if family == "captioner" else base
    with torch.no_grad():
        decoder.transformer.wte.weight.mul_(20)
    return given


def reading(given, family="gpt2"):
    if family == "captioner":
        start = (given.get_base_model().config.decoder_start_token_id,)
        return Reading(given, start + PROMPT, {"pixel_values": canary(SPACE.symbols[:5], family)["pixel_values"][None]})
    return Reading(given, PROMPT)


def plainly(given, examples, steps, rate):
    """Training as usual: Adam, shuffled batches, no noise."""
    optimiser = torch.optim.AdamW([one for one in given.parameters() if one.requires_grad], lr=rate, weight_decay=0.0)
    given.train()
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randperm(len(examples), generator=draw)[:32].tolist()
        optimiser.zero_grad()
        caption_loss(given, stacked([examples[row] for row in rows])).mean().backward()
        optimiser.step()


@pytest.mark.slow
def test_without_privacy_a_canary_that_is_repeated_64_times_stands_out_by_15_bits_and_with_it_does_not():
    secret = SPACE.draw(1, entropy(11))[0]
    examples = records(192, "gpt2") + [canary(secret)] * 64
    bits = {}
    for private in (False, True):
        given = able()
        if private:
            customers = [*range(192), *["planted"] * 64]
            privacy = Privacy(delta=1e-3, noise_multiplier=1.0, clip=0.1, unit="customer")
            train(given, examples, privacy, payment=None, customers=customers, steps=60, batch=32, learning_rate=0.02, entropy=entropy(1))
        else:
            plainly(given, examples, 300, 0.02)
        found = exposure(reading(given).score, SPACE, secret, entropy=entropy(2))
        out = extraction(reading(given).following, secret)
        bits[private] = found.bits
        print(f"private {private}: {found.bits:.1f} of {found.most:.1f} bits, greedy {out.greedy}, {out.samples():.3g} samples")
        assert out.greedy is not private
    assert bits[False] >= 15
    assert bits[True] < 10


def audited(given, before, secrets):
    """A score for each canary: how much likelier training has made it."""
    return before - reading(given).score(np.array(secrets))


@pytest.mark.slow
def test_the_audited_bound_never_exceeds_the_claim_and_refutes_a_training_without_noise():
    """One run with a hundred canaries each; the claim without noise is the one that a forgotten noise would have made."""
    secrets, planted = spread(SPACE, 128, entropy(3)), flips(128, entropy(4))
    examples = [canary(secret) for secret, coin in zip(secrets, planted, strict=True) if coin]
    sampling, steps, delta, noise_of = 0.5, 60, 1e-4, {True: 16.0, False: None}
    claim = account([Steps(steps, 16.0, sampling)], delta=delta, unit="record").epsilon
    for private, noise in noise_of.items():
        given = able()
        before = reading(given).score(np.array(secrets))
        if noise is None:
            plainly(given, examples, 600, 0.01)
        else:
            privacy = Privacy(delta=delta, noise_multiplier=noise, clip=0.5)
            train(
                given, examples, privacy, payment=None, steps=steps, batch=sampling * len(examples), learning_rate=0.02, entropy=entropy(5)
            )
        found = lower_bound(audited(given, before, secrets), planted, delta=delta)
        print(f"claimed {claim:.2f}, audited at least {found.epsilon:.2f} from {found.right} of {found.guesses} guesses; private {private}")
        assert (found.epsilon <= claim) is private


def test_a_captioner_is_read_as_its_own_loss_reads_it():
    given, secret = able("captioner"), SPACE.symbols[2:7]
    score = reading(given, "captioner").score(np.array([secret, SPACE.symbols[:5]]))
    loss = float(caption_loss(given.eval(), stacked([canary(secret, "captioner")])).detach()) * 5
    assert score[0] == pytest.approx(loss, rel=1e-4)
    found = extraction(reading(given, "captioner").following, secret)
    assert -found.log_probability == pytest.approx(loss, rel=1e-4)
    assert exposure(reading(given, "captioner").score, SPACE, secret, references=255, entropy=entropy(2)).most == 8.0


def test_a_reading_needs_a_sentence_and_one_picture():
    given = model("captioner")
    with pytest.raises(ConfigError, match="at least one token"):
        Reading(given, ())
    with pytest.raises(ConfigError, match="one row"):
        Reading(given, PROMPT, {"pixel_values": torch.zeros(2, 3, 8, 8)})
