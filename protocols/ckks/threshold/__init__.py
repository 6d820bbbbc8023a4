"""Homomorphic aggregation with n key holders, all of whom must agree before anything is opened. Experimental.

Each client encrypts under a secret of its own that it deals to the key holders as seeds; the coordinator adds ciphertexts. The key of the
sum is the sum of those secrets: each key holder can compute its part of it for the set that all have signed, and for no other. The other
half of every ciphertext is hashed from the round's description, so there is nothing in it that anybody could choose.

    key holders                clients                     coordinator
      │ ── Offer ──────────────▶ │                              │      a fresh key of this attempt
      │                          │ ── Report ─────────────────▶ │      once; adds
      │ ◀─────────────────────────────────────────────── Fixed ─│      the set
      │ ── Committed ────────────────────────────────────────▶ │      to all: the set, and a commitment to the part
      │ ── Share ────────────────────────────────────────────▶ │      once all have committed to the same set

Specification with numbered checks, parameters and their argument: docs/spec/ckks-threshold.md.
"""

from __future__ import annotations

from .plan import Plan

__all__ = ["Plan"]
