"""Secret sharing to m ≥ 2 aggregators, of which one honest one keeps every update private.

Each client writes its vector as a sum of m shares in the integers mod 2^k. Shares 2 … m are keystreams and travel as 32-byte seeds;
share 1 is what is left and travels packed, so a client sends little more than its vector. Each aggregator adds what it is sent:
the sum of sums is the sum of the vectors, and whoever lacks one aggregator's share has uniform noise.

    client                aggregators A1 … Am               collector
      │  Report (part j, hashes of all parts) ──▶ │                │
      │ ◀────────────── Accepted ──────────────── │ ── Accepted ─▶ │   signed receipts
      │                                           │ ◀─── Close ─── │   all have reported, or the deadline
      │                             Aj ── Listed ▶ Ai              │   who is held under which root
      │                             Aj ── Agreed ▶ Ai ── Agreed ─▶ │   one signed set, at least F organisations
      │                                           │ ── Share ────▶ │   each one's share of the sum, once
      │ ◀────────────────────────── receipt of the round ───────── │

Source: additive secret sharing over Z_2^k with seeds as in Corrigan-Gibbs and Boneh, Prio (NSDI 2017), section 4 and appendix I.
Specification with numbered checks: docs/spec/additive.md.
"""

from __future__ import annotations

from .plan import Plan

__all__ = ["Plan"]
