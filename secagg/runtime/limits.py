"""How much a peer may make this process hold, and how long it may take. Sizes of payloads follow from the round description."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for every connection of a hub or a party.

    Attributes:
        spool_from: payloads of at least this many bytes lie in a file of the spool folder, not in memory.
        memory_per_peer: bytes of envelopes and small payloads that may wait for one peer that is away.
        packets_per_peer: packets that may wait for one peer.
        packets_per_second: packets taken from one connection in the long run; faster senders are slowed down, not cut off.
        burst: packets taken at once before that.
        refusals: bad packets after which a connection is closed.
        hello_seconds: time for the first frame of a connection.
        stall_seconds: time within which a packet under way must make progress of `slowest_rate`.
        slowest_rate: bytes per second below which a sender is cut off.
        keepalive_seconds: between two signs of life on an idle connection.
        retry_first: upper bound of the first pause before dialling again, in seconds; it doubles up to `retry_last`.
        retry_last: upper bound of every later pause.
        close_seconds: time for what is still on its way when a connection is closed on purpose.
    """

    spool_from: int = 4 << 20
    memory_per_peer: int = 64 << 20
    packets_per_peer: int = 65_536
    packets_per_second: float = 1_000.0
    burst: int = 4_096
    refusals: int = 64
    hello_seconds: float = 10.0
    stall_seconds: float = 30.0
    slowest_rate: float = 16_384.0
    keepalive_seconds: float = 20.0
    retry_first: float = 0.2
    retry_last: float = 10.0
    close_seconds: float = 5.0
