"""What cannot be trained with a guarantee is refused before anything is computed or spent, with the reason and the fix."""

from __future__ import annotations

import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from secagg.dp.local import Privacy, caption_loss, check_independence, check_model, train
from secagg.errors import ConfigError
from tests.unit.dp.local.data import FAMILIES, entropy, model, records, stacked, weights
from tests.unit.lora.models import WIDTH, gpt2, with_adapter

PRIVACY = Privacy(delta=1e-3, noise_multiplier=1.0)


def attempt(given, examples=None, privacy=PRIVACY, **options):
    """A training that is to be refused: the model is afterwards as it was."""
    before = weights(given) if any(one.requires_grad for one in given.parameters()) else torch.empty(0)
    settings = {"payment": None, "steps": 2, "batch": 4, "entropy": entropy(), **options}
    try:
        return train(given, records(16) if examples is None else examples, privacy, **settings)
    finally:
        assert not len(before) or torch.equal(weights(given), before)


class Normalised(nn.Module):
    """A projection with the given normalisation in front."""

    def __init__(self, inner, norm):
        super().__init__()
        self.norm, self.inner = norm, inner

    def forward(self, hidden):
        return self.inner(self.norm(hidden.transpose(1, 2)).transpose(1, 2))


def with_norm(norm):
    given = model("llama")
    attention = given.get_base_model().model.layers[0].self_attn
    attention.o_proj = Normalised(attention.o_proj, norm)
    return given


def double_use(given):
    layer = given.get_base_model().model.layers[0].self_attn
    layer.v_proj.lora_A["default"].weight = layer.q_proj.lora_A["default"].weight
    return given


def unfrozen(given):
    given.get_base_model().lm_head.weight.requires_grad_(True)
    return given


def checkpointed(given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers is renaming it
        given.get_base_model().gradient_checkpointing_enable()
    return given


def frozen(given):
    return given.requires_grad_(False)


def half(given):
    return given.half()


def sparse(given):
    given.get_base_model().model.embed_tokens.sparse = True
    return given


@pytest.mark.parametrize(
    ("given", "reason", "fix"),
    [
        (lambda: with_norm(nn.BatchNorm1d(WIDTH)), "mixes the records", "GroupNorm"),
        (lambda: with_norm(nn.InstanceNorm1d(WIDTH, track_running_stats=True)), "running statistics", "track_running_stats=False"),
        (lambda: double_use(model()), "are tied", "target_modules"),
        (lambda: unfrozen(model()), "would be lost", "modules_to_save"),
        (lambda: checkpointed(model()), "twice", "gradient_checkpointing_disable"),
        (lambda: frozen(model()), "no parameter requires a gradient", "trainable"),
        (lambda: half(model()), "overflows", "float32"),
        (lambda: sparse(model()), "name the tokens", "sparse=False"),
        (lambda: model(use_dora=True), "norm of the whole weight", "use_dora=False"),
        (lambda: nn.DataParallel(model()), "wrapped in DataParallel", "pass the peft model itself"),
    ],
)
def test_each_model_without_a_guarantee_is_refused_with_the_reason_and_the_fix(given, reason, fix):
    with pytest.raises(ConfigError) as refused:
        attempt(given())
    assert reason in str(refused.value)
    assert fix in str(refused.value)


def test_a_model_that_opacus_has_wrapped_is_refused():
    from opacus.grad_sample import GradSampleModule

    with pytest.raises(ConfigError, match="PrivacyEngine"):
        attempt(GradSampleModule(model()))


def test_a_model_without_an_adapter_is_refused():
    with pytest.raises(ConfigError, match="no peft adapter"):
        check_model(gpt2())


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as refused:
        check_model(checkpointed(unfrozen(double_use(model()))))
    assert all(reason in str(refused.value) for reason in ("twice", "are tied", "would be lost"))


def mean_over_all_tokens(given, batch):
    labels = batch["labels"]
    own, counts = caption_loss(given, batch), (labels[:, 1:] != -100).sum(1)
    return own * counts / counts.sum()


def contrastive(given, batch):
    """Each record against the others of its batch, as in CLIP and SimCSE."""
    last = given(input_ids=batch["input_ids"], output_hidden_states=True).hidden_states[-1].mean(1)
    alike = nn.functional.normalize(last, dim=1) @ nn.functional.normalize(last, dim=1).T
    return nn.functional.cross_entropy(20 * alike, torch.arange(len(last)), reduction="none")


def centred(given, batch):
    """A baseline that is subtracted, taken over the batch."""
    own = caption_loss(given, batch)
    return own * own.mean()


def ranked(given, batch):
    """The hardest half of a batch alone counts."""
    own = caption_loss(given, batch)
    return torch.where(own >= own.median(), own, 0.0)


@pytest.mark.parametrize("loss", [mean_over_all_tokens, contrastive, centred, ranked])
def test_a_loss_that_couples_records_is_refused_by_the_probe(loss):
    with pytest.raises(ConfigError, match=r"records are coupled"):
        attempt(model(), loss=loss)


def usual(given, batch):
    return given(**batch).loss


def detached(given, batch):
    return caption_loss(given, batch).detach()


@pytest.mark.parametrize(("loss", "reason"), [(usual, r"shape \(\), \(\d,\) expected"), (detached, "detached")])
def test_a_loss_that_is_not_one_value_for_each_record_is_refused(loss, reason):
    with pytest.raises(ConfigError, match=reason):
        attempt(model(), loss=loss)


def test_a_coupling_of_equally_long_records_is_found_too():
    examples = [{name: value[:5] for name, value in example.items()} for example in records(16)]
    examples = [example for example in examples if bool((example["labels"] != -100).all())]
    with pytest.raises(ConfigError, match="records are coupled"):
        attempt(model(), examples, loss=mean_over_all_tokens)


class Twin(nn.Module):
    """Moves each record by what the first one of the batch is: no static list knows it."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, hidden):
        return self.inner(hidden + hidden[:1])


def test_a_layer_that_couples_records_is_found_without_its_name():
    given = model()
    attention = given.get_base_model().model.layers[0].self_attn
    attention.o_proj = Twin(attention.o_proj)
    with pytest.raises(ConfigError, match="records are coupled"):
        attempt(given)


class Counting(nn.Module):
    """Keeps a running mean, and uses it nowhere."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.register_buffer("seen", torch.zeros(WIDTH))

    def forward(self, hidden):
        if self.training:
            self.seen += hidden.detach().mean((0, 1))
        return self.inner(hidden)


def test_running_statistics_are_refused_and_put_back():
    given = model()
    attention = given.get_base_model().model.layers[0].self_attn
    attention.o_proj = Counting(attention.o_proj)
    with pytest.raises(ConfigError, match="running statistics leave without noise"):
        attempt(given)
    assert torch.equal(attention.o_proj.seen, torch.zeros(WIDTH))


def test_a_trained_weight_without_a_part_in_the_loss_is_refused():
    class Idle(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base, self.config, self.idle = base, base.config, nn.Linear(WIDTH, WIDTH)

        def forward(self, **inputs):
            return self.base(**inputs)

    given = with_adapter(Idle(gpt2()), LoraConfig(r=2, target_modules=["c_attn", "idle"], fan_in_fan_out=True))
    assert isinstance(given, PeftModel)
    with pytest.raises(ConfigError, match=r"no part in the loss.*idle"):
        attempt(given, loss=lambda given, batch: caption_loss(given.get_base_model().base, batch))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_probe_passes_what_is_right_and_leaves_the_model_as_it_was(family):
    given = model(family)
    given.train()
    given.get_base_model().eval()
    before, modes = weights(given), [module.training for module in given.modules()]
    coins = torch.random.get_rng_state()
    check_independence(given, caption_loss, stacked(records(4, family)))
    assert torch.equal(weights(given), before)
    assert [module.training for module in given.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), coins)
    assert all(parameter.grad is None for parameter in given.parameters())


def test_dropout_is_no_coupling():
    check_independence(model("llama", lora_dropout=0.5), caption_loss, stacked(records(4)))


class Endless(IterableDataset):
    def __iter__(self):
        return iter(records(4))


def ragged():
    return [{name: value[: 3 + number % 2] for name, value in one.items()} for number, one in enumerate(records(8))]


def shared():
    def collate(examples):
        return stacked(examples) | {"position_ids": torch.arange(8)[None]}

    return {"collate": collate}


@pytest.mark.parametrize(
    ("examples", "options", "reason"),
    [
        (lambda: DataLoader(records(8), batch_size=4, shuffle=True), {}, r"Poisson samples; pass the data\s+set itself"),
        (Endless, {}, "make a list of it"),
        (ragged, {}, "DataCollator"),
        (lambda: records(8), shared(), r"one row for each example"),
        (lambda: records(2) + records(2)[:1], {}, "at least 4"),
        (lambda: records(2)[:1] * 8, {}, "all the same"),
        (lambda: records(8), {"batch": 9}, "from 1 to the 8"),
        (lambda: records(8), {"steps": 0}, "whole number"),
        (lambda: records(8), {"customers": list("aabbccdd")}, "unit='customer'"),
        (lambda: records(8), {"optimiser": lambda found: torch.optim.SGD(found[:1], lr=1.0)}, "holds 1 parameters and 4"),
        (lambda: records(8), {"optimiser": torch.optim.LBFGS}, "more than once"),
    ],
)
def test_data_and_settings_that_the_accountant_does_not_count_are_refused(examples, options, reason):
    with pytest.raises(ConfigError, match=reason):
        attempt(model(), examples(), **options)


@pytest.mark.parametrize("missing", [None, float("nan"), torch.tensor(1)])
def test_a_user_id_that_equals_no_other_is_refused(missing):
    """Each example would be a customer of its own, and what is promised for a customer would hold for a record."""
    privacy = Privacy(delta=1e-3, noise_multiplier=1.0, unit="customer")
    with pytest.raises(ConfigError, match=r"customers\[7\]"):
        train(model(), records(8), privacy, payment=None, steps=1, batch=4, customers=[*"aabbccd", missing])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "one of them"),
        ({"target_epsilon": 1.0, "noise_multiplier": 1.0}, "one of them"),
        ({"noise_multiplier": 0.0}, "positive"),
        ({"noise_multiplier": 1.0, "clip": float("inf")}, "positive"),
        ({"noise_multiplier": 1.0, "unit": "organisation"}, "added\\s+before the sum"),
        ({"noise_multiplier": 1.0, "rounds": 0}, "whole number"),
        ({"noise_multiplier": 1.0, "delta": 1.0}, "under one"),
    ],
)
def test_a_promise_that_promises_nothing_is_refused(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        Privacy(**{"delta": 1e-5, **settings})


def test_a_delta_of_one_in_the_number_of_units_is_refused():
    with pytest.raises(ConfigError, match="under 1/16"):
        attempt(model(), privacy=Privacy(delta=0.1, noise_multiplier=1.0))


def test_without_labels_or_with_a_class_that_is_unknown_the_loss_says_what_to_do():
    batch = stacked(records(4))
    with pytest.raises(ConfigError, match="no `labels`"):
        caption_loss(model(), {"input_ids": batch["input_ids"]})
    with pytest.raises(ConfigError, match="no loss is known"):
        caption_loss(nn.Linear(2, 2), batch)
