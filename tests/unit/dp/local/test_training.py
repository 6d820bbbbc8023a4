"""The one call: it refuses, pays, then trains; and its steps are those that the accountant counts."""

from __future__ import annotations

import warnings

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict

from secagg.dp.accountant import Steps, account
from secagg.dp.budget import Budget, BudgetLedger
from secagg.dp.local import Payment, Privacy, caption_loss, save_adapter, train
from secagg.dp.local.optimiser import PrivateOptimiser
from secagg.errors import BudgetExceeded, ConfigError, LocalProtocolError
from secagg.lora import adapter_state
from tests.unit.dp.local.data import FAMILIES, entropy, model, passes, records, stacked, weights
from tests.unit.lora.models import VOCABULARY, adapted, gpt2

QUIET = 1e-6
"""A noise multiplier that leaves results to be compared to six digits."""


def run(given, examples, *, noise=QUIET, steps=1, batch=None, clip=0.05, delta=1e-3, unit="record", most=8, **options):
    privacy = Privacy(delta=delta, noise_multiplier=noise, clip=clip, unit=unit, most_per_customer=most)
    settings = {
        "payment": None,
        "optimiser": torch.optim.SGD,
        "learning_rate": 1.0,
        "entropy": entropy(),
        "batch": len(examples) if batch is None else batch,
        **options,
    }
    return train(given, examples, privacy, steps=steps, **settings)


@pytest.fixture(autouse=True)
def quick_account(monkeypatch):
    """So little noise has no ε worth working out."""

    def quick(steps, **how):
        return account([Steps(1, 1.0)] if steps[0].noise_multiplier < 0.1 else steps, **how)

    monkeypatch.setattr("secagg.dp.local.privacy.account", quick)


def clipped_mean(rows, clip, expected):
    return (rows * (clip / rows.norm(dim=1, keepdim=True)).clamp(max=1)).sum(0) / expected


@pytest.mark.parametrize("at_once", [3, 32])
def test_a_step_takes_the_clipped_sum_over_the_expected_number_however_many_passes_it_needs(at_once):
    given, examples = model(), records(10)
    with passes(given) as rows_of:
        rows = rows_of(stacked(examples))
    before = weights(given)
    run(given, examples, at_once=at_once)
    assert torch.allclose(before - weights(given), clipped_mean(rows, 0.05, 10), atol=1e-6)


def test_a_sample_is_divided_by_the_expected_number_and_not_by_its_own():
    given, examples = model(), records(10)
    before = weights(given)
    with passes(given) as rows_of:
        rows = rows_of(stacked(examples))
    coins = [b"\xff" * 8 * 7 + b"\0" * 8 * 3]  # three of ten are in the sample, five are expected
    plain = entropy()
    run(given, examples, batch=5, entropy=lambda count: coins.pop() if coins and count == 80 else plain(count))
    assert torch.allclose(before - weights(given), clipped_mean(rows[7:], 0.05, 5), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_empty_sample_is_a_step_of_noise(family):
    given, examples = model(family), records(10, family)
    before, plain = weights(given), entropy()
    done = run(given, examples, noise=1.0, steps=3, batch=2, entropy=lambda count: b"\xff" * count if count == 80 else plain(count))
    moved = (weights(given) - before) * 2
    assert done.steps.count == 3
    assert bool((moved != 0).all())
    assert float(moved.std()) == pytest.approx(3**0.5 * 0.05, rel=0.25)


def test_a_model_cannot_take_the_empty_batch_that_it_is_spared():
    """Why empty samples never reach the model: attention and the tokens' positions need a batch of somebody."""
    batch = {name: value[:0] for name, value in stacked(records(4, "captioner")).items()}
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        caption_loss(model("captioner"), batch).sum().backward()


def test_noise_has_the_deviation_that_was_asked_for():
    given, examples = model(), records(10)
    before = weights(given)
    run(given, examples, noise=3.0, batch=1, entropy=entropy(3), steps=200)
    found = float((weights(given) - before).std())
    assert found == pytest.approx(3.0 * 0.05 * 200**0.5, rel=0.1)


def test_one_customer_with_many_records_moves_a_step_by_one_clip():
    """And by many clips where each record is clipped for itself: that is the attack."""
    examples = records(12)
    hers = [dict(examples[0]) for _ in range(6)]
    customers = [f"c{number}" for number in range(12)] + ["hers"] * 6
    moved = {}
    for unit in ("customer", "record"):
        sums = []
        for kept in (18, 12):
            given, owners = model(), {"customers": customers[:kept]} if unit == "customer" else {}
            units = len(set(customers[:kept])) if unit == "customer" else kept
            before = weights(given)
            run(given, (examples + hers)[:kept], unit=unit, batch=units, **owners)
            sums.append((before - weights(given)) * units)
        moved[unit] = float((sums[0] - sums[1]).norm()) / 0.05
    assert moved["customer"] <= 1 + 1e-5
    assert moved["record"] > 5


@pytest.mark.parametrize("module", ["lm_head", "embed_tokens"])
def test_a_module_that_is_trained_and_saved_whole_is_trained_with_the_adapter(module):
    """peft shows the attributes of what it wraps: hooks that are taken off must not look for them there."""
    given = model(modules_to_save=[module])
    trained = [parameter for name, parameter in given.named_parameters() if "modules_to_save" in name]
    before = torch.cat([parameter.detach().flatten().clone() for parameter in trained])
    run(given, records(10))
    assert not torch.equal(torch.cat([parameter.detach().flatten() for parameter in trained]), before)


def padded(examples):
    """One batch of texts of any length: each as long as the longest."""
    longest = max(map(len, examples))
    ids = torch.stack([torch.nn.functional.pad(ids, (0, longest - len(ids))) for ids in examples])
    kept = torch.stack([torch.arange(longest) < len(ids) for ids in examples])
    return {"input_ids": ids, "attention_mask": kept.long(), "labels": ids.masked_fill(~kept, -100)}


def halved(given):
    for parameter in given.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    return given


def test_below_float32_the_company_of_a_record_moves_its_gradient():
    """The attack: a long record among short ones that are alike moves all of them the same way."""
    draw = torch.Generator().manual_seed(0)
    short, long = (torch.randint(2, VOCABULARY, (length,), generator=draw) for length in (12, 120))
    moved = {}
    for name, given in (("float32", model()), ("bfloat16", halved(model()))):
        with passes(given) as rows_of:
            alone, beside = rows_of(padded([short] * 2)), rows_of(padded([short] * 2 + [long]))
        moved[name] = float((alone[0] - beside[0]).norm() / alone[0].norm())
    assert moved["float32"] < 1e-5
    assert moved["bfloat16"] > 1e-4


@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_below_float32_each_unit_has_a_pass_of_its_own(how):
    sizes = []

    def loss(given, batch):
        sizes.append(len(batch["labels"]))
        return caption_loss(given, batch)

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=how == "autocast"):
        given = halved(model()) if how == "weights" else model()
        run(given, records(10), noise=2.0, loss=loss)
    assert sizes[-10:] == [1] * 10


def test_user_ids_in_a_tensor_are_compared_by_their_values():
    owners = torch.tensor([number // 4 for number in range(20)])
    assert run(model(), records(20), noise=2.0, unit="customer", customers=owners, batch=4).units == 5


def test_of_a_customer_at_most_so_many_records_are_used_and_others_each_time():
    from secagg.dp.local import Units

    units = Units(list(range(20)), ["a"] * 15 + ["b"] * 5, most=4, entropy=entropy())
    drawn = [frozenset(units[0]) for _ in range(50)]
    assert {len(one) for one in drawn} == {4}
    assert frozenset().union(*drawn) == set(range(15))
    assert len(units) == 2


def test_a_pass_holds_at_least_one_whole_customer():
    with pytest.raises(ConfigError, match="up to 5 records"):
        run(model(), records(20), unit="customer", customers=[n // 5 for n in range(20)], batch=4, at_once=4)


def ledger_with(path, epsilon, unit="record", units=40):
    made = BudgetLedger(path)
    made.allow("captions", Budget(unit, units, epsilon, 1e-3))
    return made


def test_a_training_is_paid_before_its_first_step(tmp_path):
    """What fails after it began has been paid: others may have seen it."""

    class Stop(Exception):
        pass

    calls = []

    def failing(given, batch):
        calls.append(len(batch["labels"]))
        if len(calls) > 7:  # the probe calls it seven times
            raise Stop
        return caption_loss(given, batch)

    with ledger_with(tmp_path / "b.sqlite", 50.0) as ledger:
        with pytest.raises(Stop):
            run(model(), records(40), noise=2.0, batch=8, loss=failing, payment=Payment(ledger, "captions", "first"))
        (entry,) = ledger.balance("captions").entries
    assert (entry.release, entry.steps) == ("first", (Steps(1, 2.0, 0.2),))


def test_without_budget_nothing_is_trained_and_nothing_spent(tmp_path):
    given = model()
    before = weights(given)
    with ledger_with(tmp_path / "b.sqlite", 0.1) as ledger:
        with pytest.raises(BudgetExceeded):
            run(given, records(40), noise=1.0, batch=20, payment=Payment(ledger, "captions", "first"))
        assert ledger.balance("captions").entries == ()
    assert torch.equal(weights(given), before)


def test_a_training_that_is_refused_costs_nothing(tmp_path):
    with ledger_with(tmp_path / "b.sqlite", 50.0) as ledger:
        with pytest.raises(ConfigError):
            run(model(), records(40), payment=Payment(ledger, "captions", "first"), loss=lambda given, batch: given(**batch).loss)
        assert ledger.balance("captions").entries == ()


def test_a_training_that_is_run_again_is_another_release_and_has_to_be_named_and_paid_anew(tmp_path):
    """Its noise is fresh: two results under one price would be averaged, and cost twice what the ledger says."""
    given = model()
    with ledger_with(tmp_path / "b.sqlite", 50.0) as ledger:
        run(given, records(40), noise=2.0, batch=8, payment=Payment(ledger, "captions", "first"))
        before = weights(given)
        with pytest.raises(LocalProtocolError, match="paid for already"):
            run(given, records(40), noise=2.0, batch=8, payment=Payment(ledger, "captions", "first"))
        assert torch.equal(weights(given), before)
        run(given, records(40), noise=2.0, batch=8, payment=Payment(ledger, "captions", "second"))
        assert len(ledger.balance("captions").entries) == 2


def test_a_budget_of_another_unit_or_of_fewer_units_pays_nothing(tmp_path):
    with ledger_with(tmp_path / "b.sqlite", 50.0, "customer") as ledger, pytest.raises(ConfigError, match="for one customer"):
        run(model(), records(40), payment=Payment(ledger, "captions", "first"))
    with ledger_with(tmp_path / "c.sqlite", 50.0, units=39) as ledger, pytest.raises(ConfigError, match="set it for as many"):
        run(model(), records(40), payment=Payment(ledger, "captions", "first"))


@pytest.mark.slow
def test_the_noise_for_a_target_covers_all_rounds_together(tmp_path):
    privacy = Privacy(delta=1e-3, target_epsilon=6.0, rounds=3)
    with ledger_with(tmp_path / "b.sqlite", 6.0) as ledger:
        for number in range(3):
            done = train(model(), records(40), privacy, payment=Payment(ledger, "captions", f"r{number}"), steps=5, batch=8)
        with pytest.raises(BudgetExceeded):
            train(model(), records(40), privacy, payment=Payment(ledger, "captions", "r3"), steps=5, batch=8)
    assert done.total == done.guarantee == account([Steps(15, done.steps.noise_multiplier, 0.2)], delta=1e-3, unit="record")
    assert 5.9 < done.guarantee.epsilon <= 6.0


def test_training_learns_and_leaves_nothing_behind():
    given, examples = model(), [records(12)[0]] * 11 + records(2)[1:]
    start = float(caption_loss(given, stacked(examples)).detach().mean())
    given.train(False)
    done = run(given, examples, steps=60, clip=10.0, learning_rate=lambda step: 5.0 / (1 + step / 20), optimiser=torch.optim.SGD)
    assert float(caption_loss(given, stacked(examples)).detach().mean()) < start - 0.1
    assert not given.training
    assert all(not hasattr(parameter, "grad_sample") and not hasattr(parameter, "summed_grad") for parameter in given.parameters())
    assert all(parameter.grad is None for parameter in given.parameters())
    assert {name: float(value.sum()) for name, value in done.adapter.items()} == {
        name: float(value.sum()) for name, value in adapter_state(given).items()
    }


def test_the_coins_are_the_operating_systems_unless_given(monkeypatch):
    after = []
    for _ in range(2):
        torch.manual_seed(0)
        given = model()
        train(given, records(8), Privacy(delta=1e-3, noise_multiplier=1.0), payment=None, steps=1, batch=4)
        after.append(weights(given))
    assert not torch.equal(*after)


def test_a_saved_adapter_reads_back_and_from_a_wrapped_model_too(tmp_path):
    from opacus.grad_sample import GradSampleModule

    given = adapted("gpt2")
    run(given, records(8, "gpt2"), noise=1.0)
    wrapper = GradSampleModule(given)
    save_adapter(wrapper, tmp_path / "adapter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        again = PeftModel.from_pretrained(gpt2(), tmp_path / "adapter")
    assert {name: value.tolist() for name, value in adapter_state(again).items()} == {
        name: value.tolist() for name, value in adapter_state(given).items()
    }
    with pytest.raises(ConfigError, match="there already"):
        save_adapter(given, tmp_path / "adapter")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_the_wrapped_model_saves_nothing_by_itself():
    """The trap that `save_adapter` is for: peft finds nothing, or fails, under the wrapper's names."""
    from opacus.grad_sample import GradSampleModule

    wrapper = GradSampleModule(adapted("gpt2"))
    try:
        found = get_peft_model_state_dict(wrapper, save_embedding_layers=False)
    except Exception:  # which of the two depends on peft's version
        return
    expected = adapter_state(adapted("gpt2"))
    assert set(found) != set(expected)


def test_a_file_that_lacks_a_tensor_is_not_kept(tmp_path, monkeypatch):
    given = adapted("gpt2")
    plain = given.save_pretrained

    def partial(folder, **options):
        plain(folder, state_dict={}, **options)

    monkeypatch.setattr(given, "save_pretrained", partial)
    with pytest.raises(ConfigError, match="lacks"):
        save_adapter(given, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


def test_steps_without_named_owners_are_refused():
    from secagg.dp.local import GaussianNoise, per_sample_gradients
    from secagg.errors import LocalProtocolError

    given = model()
    found = [parameter for parameter in given.parameters() if parameter.requires_grad]
    noise = GaussianNoise(noise_multiplier=1.0, clip=1.0, values=10, most=10, entropy=entropy())
    stepper = PrivateOptimiser(torch.optim.SGD(found, lr=0.1), noise, clip=1.0, expected=4)
    given.train()
    with per_sample_gradients(given):
        for _ in range(2):
            caption_loss(given, stacked(records(4))).sum().backward()
        with pytest.raises(ConfigError, match="2 backward passes"):
            stepper.step()
        stepper.zero_grad()
        caption_loss(given, stacked(records(4))).sum().backward()
        with pytest.raises(LocalProtocolError, match="owners"):
            stepper.step()
