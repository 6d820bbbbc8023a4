from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.encode.encoding import Encoding
from secagg.errors import ConfigError
from secagg.math.ring import WIDTHS

numbers = st.fixed_dictionaries(
    {
        "max_parties": st.integers(1, 2**20),
        "bits": st.integers(2, 24),
        "max_weight": st.integers(1, 2**32),
        "noise_tail": st.just(0) | st.integers(0, 2**40),
    }
)


@given(numbers)
def test_the_ring_is_the_narrowest_that_holds_the_largest_sum(chosen):
    largest = chosen["max_parties"] * chosen["max_weight"] * 2 ** (chosen["bits"] - 1) + chosen["noise_tail"]
    fitting = [width for width in WIDTHS if largest <= 2 ** (width - 1)]
    if not fitting:
        with pytest.raises(ConfigError, match="lower bits, max_weight or max_parties"):
            Encoding(**chosen)
        return
    encoding = Encoding(**chosen)
    assert encoding.ring.bits == fitting[0]
    for width in WIDTHS:
        if width in fitting:
            assert Encoding(**chosen, ring_bits=width).ring.bits == width
        else:
            with pytest.raises(ConfigError, match=f"use ring_bits={fitting[0]}"):
                Encoding(**chosen, ring_bits=width)


def test_the_error_names_the_ring_what_it_holds_and_what_to_do():
    with pytest.raises(ConfigError) as refused:
        Encoding(max_parties=20, bits=20, ring_bits=24)
    assert str(refused.value) == "24-bit ring holds the sum of at most 16 clients at 20-bit values; 20 asked: use ring_bits=32"
    with pytest.raises(ConfigError, match=r"at most 15 clients at 20-bit values and noise up to 2\^10; 16 asked"):
        Encoding(max_parties=16, bits=20, ring_bits=24, noise_tail=1024)


def test_the_number_of_parties_in_the_error_is_the_most_that_fit():
    assert Encoding(max_parties=16, bits=20, ring_bits=24).ring.bits == 24


@pytest.mark.parametrize(
    "wrong",
    [
        {"bits": 1},
        {"bits": 25},
        {"bits": True},
        {"bits": 8.0},
        {"max_parties": 0},
        {"max_weight": 0},
        {"max_weight": 2**33},
        {"noise_tail": -1},
        {"clip": 0.0},
        {"clip": -1.0},
        {"clip": float("nan")},
        {"clip": float("inf")},
        {"clip": 1e30},
        {"clip": ()},
        {"clip": (1.0, 0.0)},
        {"value_clip": 0.0},
        {"value_clip": 2.0},
        {"clip": (1.0, 2.0), "value_clip": 0.5},
        {"ring_bits": 20},
    ],
)
def test_unsafe_numbers_are_refused(wrong):
    with pytest.raises(ConfigError):
        Encoding(**{"max_parties": 3, **wrong})


def test_one_clip_serves_all_groups_and_many_must_match_them():
    assert Encoding(max_parties=3, clip=2.0).clips(3) == (2.0, 2.0, 2.0)
    assert Encoding(max_parties=3, clip=(1, 2)).clips(2) == (1.0, 2.0)
    with pytest.raises(ConfigError, match="2 clips for 3 scale groups"):
        Encoding(max_parties=3, clip=(1, 2)).clips(3)
