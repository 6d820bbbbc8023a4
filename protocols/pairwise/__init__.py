"""One server, and masks that cancel: the server adds what it cannot read, and no second party has to be trusted.

Each client adds to its vector a mask of its own and, with each other client of its circle, one that the other takes away. The masks
between clients that stay cancel in the sum. What does not cancel is taken out with the help of the clients that are left: each holds
shares of two seeds of every other, and gives the one of a mask for whoever stayed, the one of a key for whoever left, never both.

    client                                            server
      │  Advert (keys, commitment, signed) ─────────▶ │
      │ ◀──────────────── Adverts (all, one hash each) │   all have advertised, or the time is over
      │  Shares (a box for each of the circle) ─────▶ │
      │ ◀──────────────── Inbox (the boxes for this one) │   all have shared, or the time is over
      │  Masked (vector under all masks) ───────────▶ │   or Complaint, if a box does not open
      │ ◀──────────────── Survivors (who is in the sum) │   all have sent, or the deadline
      │  Confirm (signature for this set) ──────────▶ │
      │ ◀──────────────── Agreement (all signatures) │
      │  Reveal (one share of each) ────────────────▶ │   the sum, and the receipt

Cohorts of up to 64 form one circle (the complete graph); in larger ones each client has k neighbours, and its work grows with log n.

Source: Bonawitz et al., Practical secure aggregation for privacy-preserving machine learning (CCS 2017), figure 4, with the signatures
and the consistency round of the malicious variant; Bell et al. (CCS 2020) for large cohorts. Specification: docs/spec/pairwise.md.
"""

from __future__ import annotations

from .plan import Plan

__all__ = ["Plan"]
