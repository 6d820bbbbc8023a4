"""CKKS slots: parameter sets that hold what they say, exact sums at the very ends, and processes that change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from math import pi
from pathlib import Path

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks import slots
from protocols.ckks.messages import Seed
from protocols.ckks.params import payload_digest
from protocols.ckks.scheme import Report
from protocols.ckks.slots import SETS, Slots, noise_bound
from secagg import simulate
from secagg.crypto import ckks as seal
from secagg.crypto import ckks_workers
from secagg.encode.layout import Layout
from secagg.errors import ConfigError, InvalidMessage, SecAggError
from secagg.math.ring import Ring
from secagg.payload import Blob, join
from secagg.testing.entropy import InsecureEntropy
from secagg.types import Context, PartyId, Secret
from tests.unit.ckks.test_checks import HOLDER, HUB, ONE, TWO, Stage, refuses

pytest.importorskip("tenseal")
CTX, KEY = Context(b"r" * 32, "task", 1, 1), Secret(b"k" * 32)
PLAN = ckks.Plan(clients=4, slots="n4096-q56", max_weight=16)
STANDARD = {4096: {128: 109, 192: 75, 256: 58}}
"""log2 q that the Homomorphic Encryption Standard allows for classical security, ternary secret."""


def told(report: Report) -> Seed:
    return Seed(0, report.seed, payload_digest(report.c0), report.seeds)


def summed(scheme: Slots, vectors: list[np.ndarray]) -> tuple[Blob, list[tuple[PartyId, Seed]]]:
    total, reports = scheme.zero(), []
    for index, vector in enumerate(vectors):
        name = PartyId(f"c{index}")
        report = scheme.encrypt(vector, KEY, ctx=CTX, client=name, entropy=InsecureEntropy(name))
        assert (report.c0.size, report.seeds and report.seeds.size) == (scheme.size, scheme.seeds)
        scheme.add_into(total, report.c0)
        reports.append((name, told(report)))
    return scheme.as_payload(total), reports  # type: ignore[return-value]


@pytest.mark.parametrize("one", SETS.values(), ids=SETS)
def test_a_set_has_the_security_that_the_tables_allow_its_degree_and_modulus(one: slots.Set) -> None:
    assert one.bits <= STANDARD[one.degree][one.security]
    assert one.prime % (2 * one.degree) == 1
    assert pow(3, one.prime - 1, one.prime) == 1, "not a prime"
    assert one.name == f"n{one.degree}-q{one.bits}"


@pytest.mark.parametrize("one", SETS.values(), ids=SETS)
@pytest.mark.parametrize("parties", [3, 5])
def test_sums_are_exact_to_both_ends_of_the_range(one: slots.Set, parties: int) -> None:
    largest = parties * int(Slots(one, Ring(32), 1, parties, 1)._most(one) / parties)
    scheme, top = Slots(one, Ring(48), 4096 + 77, parties, largest), largest // parties
    ends = np.resize(np.array([top, -top, top, 1 - top, 0, 1, -1], np.int64), scheme.length)
    vector = scheme.ring.from_signed(ends)
    c0, reports = summed(scheme, [vector] * parties)
    assert np.array_equal(scheme.ring.center(scheme.decrypt(c0, reports, KEY, CTX)), ends * parties)


@pytest.mark.parametrize("one", SETS.values(), ids=SETS)
def test_noise_stays_far_inside_the_grid_it_is_rounded_to(one: slots.Set) -> None:
    scheme = Slots(one, Ring(32), 4096 * 8, 4, 1 << 30)
    vectors = [scheme.ring.from_signed(np.random.default_rng(i).integers(-(1 << 28), 1 << 28, scheme.length)) for i in range(4)]
    c0, reports = summed(scheme, vectors)
    halves = [np.frombuffer(join(report.seeds), np.uint8).reshape(-1, 64) for _, report in reports if report.seeds]
    reals = seal.decrypt(scheme._read(c0), halves, scheme.numbers, slots._secret(KEY, CTX))
    error, delta = np.abs(reals - np.rint(reals)).max() * 2.0**scheme.numbers.scale_bits, 2.0**scheme.numbers.scale_bits
    assert 100 < error < noise_bound(4096, 4), "of the order that its bound is of"
    assert delta >= 2**8 * noise_bound(4096, 4)
    worst_of_all = 4 * 21.5 * 2 * 4096 / pi
    assert worst_of_all < delta / 2, "even errors that are all as large as they can be round away"


def test_what_a_set_cannot_hold_is_refused_with_one_that_can() -> None:
    with pytest.raises(ConfigError, match=r"use slots='n4096-q60'"):
        ckks.Plan(clients=100, slots="n4096-q56", bits=24, max_weight=2)
    with pytest.raises(ConfigError, match="leave `slots` out"):
        ckks.Plan(clients=48, slots="n4096-q60", bits=24, max_weight=4096)
    with pytest.raises(ConfigError, match="there are n4096-q56, n4096-q60"):
        ckks.Plan(clients=3, slots="n8192")


def test_a_vector_beyond_its_range_is_refused_before_it_wraps() -> None:
    scheme = Slots(SETS["n4096-q60"], Ring(48), 4, 3, 1 << 30)
    for value in ((1 << 30) + 1, -(1 << 33)):
        with pytest.raises(ConfigError, match="are to stay below"):
            summed(scheme, [scheme.ring.from_signed(np.array([0, value, 1, 2]))])


@pytest.mark.sizes
@pytest.mark.parametrize(("name", "each"), [("n4096-q56", 1.75), ("n4096-q60", 1.875)])
def test_a_ciphertext_is_less_than_twice_its_floats(name: str, each: float) -> None:
    scheme = Slots(SETS[name], Ring(32), 4096 * 300, 3, 1 << 20)
    assert scheme.size == each * 4 * scheme.length
    assert scheme.seeds == scheme.length // 64


@pytest.mark.parametrize("bits", [56, 60])
def test_words_are_the_same_when_they_arrive(bits: int) -> None:
    words = np.random.default_rng(0).integers(0, 1 << bits, (3, 4096), dtype=np.uint64)
    words[0, :4] = (1 << bits) - 1
    packed = slots._squeeze(words, bits)
    assert packed.size == words.size * bits // 8
    assert np.array_equal(slots._stretch(packed.reshape(-1), bits), words.reshape(-1))


def test_a_state_of_64_tensors_costs_what_one_vector_of_its_length_costs() -> None:
    def sent(update: dict[str, np.ndarray]) -> int:
        result = simulate(ckks.Plan(clients=3, slots="n4096-q56", max_weight=1), [update] * 3)
        assert np.allclose(next(iter(result.mean.values())), next(iter(update.values())), atol=1e-4)
        return result.bytes_up[result.included[0]]

    many = {f"layer.{index}.lora_A": np.full((8, 257), 1e-3, np.float32) for index in range(64)}
    one = {"all": np.full(64 * 8 * 257, 1e-3, np.float32)}
    assert Layout.of(many).size == Layout.of(one).size
    assert abs(sent(many) / sent(one) - 1) < 0.01


# --- several processes ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_encrypt_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECAGG_THREADS", "2")
    scheme = Slots(SETS["n4096-q56"], Ring(32), 4096 * 300 - 5, 3, 1 << 30)
    vector = scheme.ring.from_signed(np.random.default_rng(1).integers(-(1 << 28), 1 << 28, scheme.length))
    scheme.prepare()
    assert len(ckks_workers._workers) == 2
    c0, reports = summed(scheme, [vector])
    assert np.array_equal(scheme.decrypt(c0, reports, KEY, CTX), vector)
    victim = ckks_workers._workers[1]
    victim._process.kill()
    with pytest.raises(SecAggError, match="has ended"):
        summed(scheme, [vector])
    assert not ckks_workers._workers
    c0, reports = summed(scheme, [vector])
    assert np.array_equal(scheme.decrypt(c0, reports, KEY, CTX), vector), "the next vector gets new ones"
    started = [worker._process for worker in ckks_workers._workers]
    ckks_workers.end_all()
    assert all(process.poll() is not None for process in started)


# --- hostile reports --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    from secagg.testing.consortium import consortium
    from secagg.testing.table import NOW

    monkeypatch.setitem(Stage.__init__.__globals__, "PLAN", PLAN)
    return Stage(consortium(4, keyholders=1, now=NOW, entropy=InsecureEntropy("slots"), kem=0x20))


def test_a_round_of_slots_opens_the_sum(stage: Stage) -> None:
    stage.hub.receive(HOLDER, stage.opened())
    assert stage.hub.result is not None
    assert (stage.hub.result.vector == 4).all()


@pytest.mark.check("CK-H6")
def test_seeds_that_are_too_few_too_many_or_others_are_refused(stage: Stage) -> None:
    seed = stage.seeds[ONE]
    assert isinstance(seed, Seed)
    assert seed.seeds is not None
    raw = join(seed.seeds)
    for wrong in (
        replace(seed, seeds=None),
        replace(seed, seeds=Blob(raw[:-1])),
        replace(seed, seeds=Blob(raw * 2)),
        replace(seed, seeds=Blob(bytes(len(raw)))),
        replace(seed, seed=bytes(32)),
    ):
        refuses(stage.holder, ONE, wrong, "CK-H6")
    assert stage.holder.phase == "keeping"


@pytest.mark.check("CK-H7")
def test_another_reports_seeds_are_refused(stage: Stage) -> None:
    stage.holder.receive(ONE, stage.seeds[ONE])
    refuses(stage.holder, TWO, stage.seeds[ONE], "CK-H7")
    stage.holder.receive(TWO, stage.seeds[TWO])


@pytest.mark.check("CK-S2")
def test_a_ciphertext_that_is_none_never_touches_the_sum(stage: Stage) -> None:
    """Level, scale and shape are the round's and stand in no ciphertext; what is left are a size and a range."""
    genuine, state = stage.encrypted[ONE], stage.hub.state
    high = Blob(bytes([255]) * genuine.payload.size)
    for wrong in (
        replace(genuine, payload=Blob(join(genuine.payload)[:-7])),
        replace(genuine, payload=high, digest=payload_digest(high)),
        replace(genuine, digest=bytes(32)),
    ):
        refuses(stage.hub, ONE, wrong, "CK-S2")
    assert not state.total.any()  # type: ignore[attr-defined]


@pytest.mark.check("CK-H3")
def test_a_sum_out_of_range_is_refused(stage: Stage) -> None:
    added = stage.seeded().added()
    high = Blob(bytes([255]) * added.payload.size)
    refuses(stage.holder, HUB, replace(added, payload=high, digest=payload_digest(high)), "CK-H3")


# --- what is not there ------------------------------------------------------------------------------------------------------------


def test_without_seal_slots_say_what_to_install_and_packing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"need tenseal: run `pip install 'secagg\[ckks\]'`"):
        ckks.Plan(clients=3, slots="n4096-q56", max_weight=16)
    assert simulate(ckks.Plan(clients=3), [{"w": np.ones(3, np.float32)}] * 3).weight == 3
    described = replace(_description(), parameters="n4096-q60")
    with pytest.raises(InvalidMessage, match="CK-P3"):
        ckks.Plan.from_description(described)


@pytest.mark.slow
def test_a_wheel_that_does_not_load_costs_the_party_its_place_and_says_why(tmp_path: Path) -> None:
    """One for another system, for example: it is found, and fails when the party takes its seat, before it trains."""
    (tmp_path / "tenseal").mkdir()
    (tmp_path / "tenseal" / "__init__.py").write_text("raise ImportError('GLIBC_2.99 not found')")
    script = """
import numpy as np, secagg
from protocols import ckks
updates = [{"w": np.ones(5, np.float32)}] * 3
assert secagg.simulate(ckks.Plan(clients=3), updates).weight == 3
secagg.simulate(ckks.Plan(clients=3, slots="n4096-q56", max_weight=16), updates)
"""
    paths = os.pathsep.join((str(tmp_path), *sys.path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 1
    assert "does not load here: GLIBC_2.99 not found; where it has no wheel for this platform, leave `slots` out" in done.stderr
    assert "SessionAborted" in done.stderr.splitlines()[-1]


def _description():
    from secagg.testing.consortium import consortium
    from secagg.testing.table import NOW, terms

    parties = consortium(4, keyholders=1, now=NOW, entropy=InsecureEntropy("absent"), kem=0x20)
    return ckks.Plan(clients=4, max_weight=16).describe(terms(values=4), parties.roster)


@pytest.mark.slow
def test_the_coordinator_never_loads_seal() -> None:
    """It adds arrays: nothing that a client sends reaches a parser in C++, and there is no context that a key could be put into."""
    script = (
        "import sys, numpy as np; from protocols.ckks.slots import SETS, Slots; from secagg.math.ring import Ring;"
        "s = Slots(SETS['n4096-q56'], Ring(32), 9000, 3, 1 << 20); t = s.zero(); s.add_into(t, s.as_payload(t)); s.check(s.as_payload(t));"
        "print(sorted(name for name in sys.modules if 'tenseal' in name or name == 'zstandard'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_larger_set_leaves_more_room() -> None:
    rooms = [Slots(one, Ring(32), 1, 10, 1)._most(one) for one in SETS.values()]
    assert all(small <= large for small, large in pairwise(rooms))


@pytest.mark.parametrize(("name", "clients", "most"), [("n4096-q56", 100, 28.4), ("n4096-q56", 1000, 25.4), ("n4096-q60", 1000, 29.4)])
def test_a_set_holds_sums_as_large_as_the_specification_says_and_no_larger(name: str, clients: int, most: float) -> None:
    assert Slots(SETS[name], Ring(32), 1, clients, int(2**most)).blocks == 1
    with pytest.raises(ConfigError, match=f"holds sums of {clients} clients below"):
        Slots(SETS[name], Ring(32), 1, clients, int(2 ** (most + 0.05)))


@pytest.mark.parametrize(("name", "clients"), [("n4096-q56", 10), ("n4096-q60", 100)])
def test_a_set_holds_sums_up_to_what_doubles_allow(name: str, clients: int) -> None:
    assert Slots(SETS[name], Ring(32), 1, clients, 2**31 - 1).blocks == 1
    with pytest.raises(ConfigError, match="lower bits, max_weight or clients"):
        Slots(SETS[name], Ring(48), 1, clients, 2**31)


@pytest.mark.parametrize(("clients", "better"), [(48, True), (49, False)])
def test_packing_is_advised_only_where_it_holds_the_sum(clients: int, better: bool) -> None:
    with pytest.raises(ConfigError) as refused:
        ckks.Plan(clients=clients, slots="n4096-q60", bits=24)
    assert ("leave `slots` out" in str(refused.value)) is better
    with nullcontext() if better else pytest.raises(ConfigError, match="lower clients"):
        ckks.Plan(clients=clients, bits=24)
