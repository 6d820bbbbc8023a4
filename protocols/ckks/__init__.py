"""Homomorphic aggregation with one key holder: exact sums of packed integers under ring-LWE encryption.

Each client encrypts its vector under the consortium's key of this round. The coordinator adds ciphertexts and holds no key; the key
holder decrypts one sum and sees no single ciphertext. The half of a ciphertext that decides what can be decrypted, c1, is a seed that
each client sends the key holder itself: a coordinator that hands in anything but the sum of those reports gets nothing decrypted.

    key holder                 clients                     coordinator
      │ ── Key (sealed) ────────▶ │                              │
      │ ◀──────────────── Seed ── │ ── Encrypted ──────────────▶ │   adds
      │ ◀──────────────────────────────────────────────── Added ─│   all have reported, or the deadline
      │ ── Opened (sealed, signed) ─────────────────────────────▶ │   once

Specification with numbered checks: docs/spec/ckks.md.
"""

from __future__ import annotations

from .plan import Plan

__all__ = ["Plan"]
