"""The memory network with faults that a seed decides: packets are lost, repeated, reordered and corrupted."""

from __future__ import annotations

from collections.abc import Sequence

from secagg.envelope import Packet
from secagg.payload import Blob, join
from secagg.runtime.memory import MemoryNetwork
from secagg.testing.entropy import InsecureEntropy
from secagg.types import PartyId


class Faults:
    """A fault function for `MemoryNetwork` and `simulate`.

    Args:
        dice: decides; the same seed gives the same faults.
        lose, repeat, reorder, corrupt: how often, between 0 and 1, each happens to a packet. A reordered packet arrives after the
            next one that is not; a corrupted one has one bit changed, in its envelope or its payload.

    Attributes:
        happened: how often each did.
    """

    def __init__(
        self, dice: InsecureEntropy, *, lose: float = 0.0, repeat: float = 0.0, reorder: float = 0.0, corrupt: float = 0.0
    ) -> None:
        self._dice = dice
        self._rates = {"lose": lose, "repeat": repeat, "reorder": reorder, "corrupt": corrupt}
        self._held: list[Packet] = []
        self.happened = dict.fromkeys(self._rates, 0)

    def __call__(self, sender: PartyId, recipient: PartyId, packet: Packet) -> Sequence[Packet]:
        if self._happens("lose"):
            return []
        arriving = [corrupted(packet, self._dice)] if self._happens("corrupt") else [packet]
        if self._happens("repeat"):
            arriving *= 2
        if self._happens("reorder"):
            self._held += arriving
            return []
        return [*arriving, *self.release()]

    def release(self) -> list[Packet]:
        """What was held back, so that it is late and not lost."""
        held, self._held = self._held, []
        return held

    def _happens(self, fault: str) -> bool:
        happens = self._dice.below(1 << 20) < self._rates[fault] * (1 << 20)
        self.happened[fault] += happens
        return happens


class FaultyNetwork(MemoryNetwork):
    """A memory network with `Faults`; what they held back arrives when nothing else is on its way."""

    def __init__(
        self,
        *,
        now: float,
        seed: int | str,
        lose: float = 0.0,
        repeat: float = 0.0,
        reorder: float = 0.0,
        corrupt: float = 0.0,
    ) -> None:
        self.faults = Faults(InsecureEntropy(seed), lose=lose, repeat=repeat, reorder=reorder, corrupt=corrupt)
        super().__init__(now=now, fault=self.faults)

    def _wait(self) -> bool:
        late = self.faults.release()
        self._queue.extend(late)
        return bool(late) or super()._wait()


def corrupted(packet: Packet, dice: InsecureEntropy) -> Packet:
    """`packet` with one bit changed."""
    payload = packet.payload
    if payload is not None and payload.size and dice.chance(2):
        return Packet(packet.header, packet.envelope, Blob(_flip(join(payload), dice)))
    return Packet(packet.header, _flip(packet.envelope, dice), payload)


def _flip(data: bytes, dice: InsecureEntropy) -> bytes:
    changed = bytearray(data)
    bit = dice.below(8 * len(changed))
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
