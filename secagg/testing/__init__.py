"""Shipped for tests and trials: made-up consortia, a network with faults, and the plaintext round that others are measured against."""
