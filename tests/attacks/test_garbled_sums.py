"""A client of the cohort that encrypts something else than an encoding, or under something else than the round's key.

Nothing shows a server what a client has encrypted: that is the point. What was added up is looked at before a mean is made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import secagg
from protocols import additive, ckks, pairwise
from protocols.ckks import cipher, slots, threshold
from protocols.ckks import client as ckks_client
from protocols.ckks.threshold import client as threshold_client
from secagg.encode import Encoding, quantise
from secagg.endpoint import Endpoint
from secagg.errors import SessionAborted
from secagg.identity import Identity
from secagg.roles import Plan, Sum, Vector, whole
from secagg.round import Round
from secagg.runtime.task import Opened, Task
from secagg.types import PartyId, Secret

LIAR, MARK = PartyId("client-2"), 7
CLIP, VALUES = 4.0, 300
PLANS: dict[str, Plan] = {
    "additive": additive.Plan(clients=3, clip=CLIP, bits=12, max_weight=1),
    "pairwise": pairwise.Plan(clients=3, clip=CLIP, bits=12, max_weight=1),
    "packed": ckks.Plan(clients=3, clip=CLIP, bits=12, max_weight=1),
    "slots": ckks.Plan(clients=3, clip=CLIP, bits=12, max_weight=1, slots="n4096-q56"),
    "threshold": threshold.Plan(clients=3, keyholders=2, clip=CLIP, bits=12, max_weight=1),
}


def mean(plan: Plan, values: int = 8) -> np.ndarray:
    """The mean of three updates of ones, whatever the liar makes of its own."""
    return secagg.simulate(plan, [{"w": np.ones(values, np.float32)}] * 3).mean["w"]


# --- words that are no encoding ---------------------------------------------------------------------------------------------------


def says(weak: pytest.MonkeyPatch, change: Callable[[Vector], None]) -> None:
    """The liar changes its words before its own protocol takes them: every hash, tag and signature over them is right."""
    genuine = Endpoint.contribute

    def contribute(self: Endpoint, vector: Vector, *, version: int) -> object:
        words = whole(vector).copy()
        if self._me.party == LIAR:
            change(words)
        return genuine(self, words, version=version)

    weak.setattr(Endpoint, "contribute", contribute)


def unasked(weak: pytest.MonkeyPatch) -> None:
    """A liar does not run the check of its own words that slots begin with."""

    def as_rows(self: slots.Slots, vector: Vector) -> np.ndarray:
        values = np.zeros(self.blocks * self.set.degree, np.int32)
        values[: self.length] = self.ring.center(vector)
        return values.reshape(self.blocks, self.set.degree)

    weak.setattr(slots.Slots, "_as_rows", as_rows)


def shout(words: Vector) -> None:
    words[3] = 12_000  # an encoding of 12 bits is 2,047 at most


@pytest.mark.check("TR-C7")
@pytest.mark.parametrize("name", PLANS)
def test_no_coordinate_of_a_mean_is_beyond_what_honest_updates_can_give(name: str, weak: pytest.MonkeyPatch) -> None:
    if name == "slots":
        pytest.importorskip("tenseal")
    says(weak, shout)
    unasked(weak)
    with pytest.MonkeyPatch.context() as unchecked:
        unchecked.setattr(quantise, "_refuse_beyond", lambda *_: None)
        garbled = mean(PLANS[name])
    assert garbled[3] > 2 * CLIP, "where nobody looks, one client moves a coordinate further than three of them may"
    assert np.allclose(garbled[:3], 1, atol=0.01), "and nothing else tells of it"
    with pytest.raises(SessionAborted, match="TR-C7: the sum has a coordinate beyond 6144"):
        mean(PLANS[name])


def test_a_lie_within_the_range_is_the_liars_own_affair(weak: pytest.MonkeyPatch) -> None:
    """What is left to it: a coordinate of the mean up to the clip, as by an update that is as large as the clip allows."""

    def quietly(words: Vector) -> None:
        words[3] = 2_000

    says(weak, quietly)
    assert 1 < mean(PLANS["packed"])[3] < CLIP


# --- ciphertexts under another key ------------------------------------------------------------------------------------------------

KEYED = {"packed": "CK-H5", "slots": "CK-H5", "threshold": "TH-S9"}


def encrypts_under_another_key(weak: pytest.MonkeyPatch) -> None:
    """In `ckks` the liar takes another key than it was given, in `ckks-threshold` it deals another secret than it uses."""
    genuine, dealing = ckks_client.report, cipher.encrypt_under

    def report(key: Secret, *rest: Any, me: Identity, **more: Any) -> object:
        return genuine(Secret(bytes(32)) if me.party == LIAR else key, *rest, me=me, **more)

    def encrypt_under(secret: cipher.Key, vector: Vector, *rest: Any) -> object:
        return dealing((secret[0] ^ np.uint64(1), secret[1]) if vector[0] == MARK else secret, vector, *rest)

    weak.setattr(ckks_client, "report", report)
    weak.setattr(threshold_client, "encrypt_under", encrypt_under)
    says(weak, lambda words: words.__setitem__(0, MARK))


def take_any_noise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cipher, "_refuse_noise", lambda *_: None)
    patch.setattr(slots, "_refuse_noise", lambda *_: None)


def take_any_sum(patch: pytest.MonkeyPatch) -> None:
    """Count and weight are believed to be what they ought to be, and coordinates may be anything."""
    genuine = Task.decode

    def decode(self: Task, total: Sum, opened: Round) -> Opened:
        words = total.vector.copy()
        words[-2:] = len(total.included)
        return genuine(self, replace(total, vector=words), opened)

    patch.setattr(Task, "decode", decode)
    patch.setattr(quantise, "_refuse_beyond", lambda *_: None)


@pytest.mark.check("CK-H5")
@pytest.mark.check("TH-S9")
@pytest.mark.parametrize("name", KEYED)
def test_a_ciphertext_under_another_key_gives_no_mean_and_no_garbage(name: str, weak: pytest.MonkeyPatch) -> None:
    if name == "slots":
        pytest.importorskip("tenseal")
    encrypts_under_another_key(weak)
    with pytest.MonkeyPatch.context() as blind:
        take_any_noise(blind)
        with pytest.raises(SessionAborted, match="TR-C7"):
            mean(PLANS[name], VALUES)
        take_any_sum(blind)
        garbled = mean(PLANS[name], VALUES)
    assert np.abs(garbled[1:] - 1).mean() > 1, "where nobody looks, three companies train on garbage that all have signed for"
    with pytest.raises(SessionAborted, match=KEYED[name]) as aborted:
        mean(PLANS[name], VALUES)
    assert "client encrypted under another" in str(aborted.value), "the reason is told"
    assert aborted.value.culprits == (), "and nobody is accused of what only one of several can have done"


@pytest.mark.parametrize(("clients", "bits", "most_weight"), [(3, 12, 5), (16, 12, 1), (48, 8, 5), (48, 2, 341)])
def test_garbage_passes_by_chance_as_seldom_as_the_specification_says(clients: int, bits: int, most_weight: int) -> None:
    """The narrowest ring, as full as it may be, and the shortest adapter. Under another key every word of the sum is uniform."""
    encoding = Encoding(max_parties=clients, bits=bits, max_weight=most_weight, ring_bits=16)
    ring, packing = encoding.ring, cipher.Packing(encoding.ring, 1 + encoding.extra, clients)
    by_noise = ((2 * packing.noise * clients + 1) / 2**packing.scale_bits) ** packing.coefficients
    by_count, by_weight = 1 / ring.modulus, clients * most_weight / ring.modulus
    assert by_noise * by_count * by_weight <= 2.0 ** -(ring.bits + bits)
