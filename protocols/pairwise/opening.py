"""The server's last step: rebuild the seeds that the revealed shares stand for, and take the masks out of the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from secagg.crypto.agree import AgreementKey
from secagg.crypto.expand import Stream
from secagg.crypto.many import Lanes
from secagg.crypto.pairs import Agreeing
from secagg.encode.encoding import EXTRA
from secagg.errors import ConfigError
from secagg.math import shamir
from secagg.math.repair import repair
from secagg.tally import Mask, RunningSum
from secagg.types import Context, Secret

from .blame import Doubts
from .graph import Graph
from .mask import commit_self_mask, mask_seed, pair_keys, pair_sign, self_mask, tells
from .params import Params
from .records import Record


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be rebuilt: for each survivor the seed of its self-mask, for each drop-out that has shared the seed of its key."""

    graph: Graph
    records: Mapping[int, Record]
    survivors: frozenset[int]
    dropped: frozenset[int]

    @property
    def owners(self) -> frozenset[int]:
        return self.survivors | self.dropped

    def owned(self, holder: int) -> list[int]:
        """Of whom this survivor holds shares."""
        return [owner for owner in self.graph.circle(holder) if owner in self.owners]

    def tellers(self, holder: int) -> list[int]:
        """The drop-outs that told this survivor the key of their mask."""
        return [owner for owner in self.graph.circle(holder) if owner in self.dropped and tells(owner, holder)]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Shares by owner and index, the seeds found so far, and how many shares each holder gave. It grows in place: nothing goes back.

    `told` are the keys that a drop-out told a survivor, as the survivor says, by both. `doubtful`: with these the count came out wrong.
    """

    shares: dict[int, dict[int, Secret]] = field(default_factory=dict)
    seeds: dict[int, Secret] = field(default_factory=dict)
    holders: dict[int, int] = field(default_factory=dict)
    told: dict[tuple[int, int], Secret] = field(default_factory=dict)
    doubtful: bool = False

    def add(self, holder: int, owners: Sequence[int], given: Sequence[Secret], told: Mapping[int, Secret]) -> None:
        """One holder's shares, and the keys that it was told."""
        self.holders[holder] = len(given)
        self.told.update({(owner, holder): key for owner, key in told.items()})
        for owner, share in zip(owners, given, strict=True):
            self.shares.setdefault(owner, {})[holder + 1] = share


def fits(seed: Secret, *, owner: int, wanted: Wanted, params: Params, ctx: Context) -> bool:
    """Whether this is the seed that the owner committed to, or from which its public mask key follows."""
    record, name = wanted.records[owner], params.clients[owner]
    if owner in wanted.survivors:
        return commit_self_mask(seed, ctx, name) == record.commitment
    return Agreeing(AgreementKey(mask_seed(seed, ctx, name))).public() == record.mask


def rebuild(rebuilt: Rebuilt, wanted: Wanted, params: Params, ctx: Context) -> bool:
    """Rebuild from the first t shares of each owner; False while a seed is missing or does not fit."""
    # Fewer holders than that have too few shares of anybody: nothing is looked up for each of them.
    if len(rebuilt.holders) < params.threshold or any(len(rebuilt.shares.get(owner, ())) < params.threshold for owner in wanted.owners):
        return False
    for owner in sorted(wanted.owners - rebuilt.seeds.keys()):
        try:
            seed = shamir.combine(rebuilt.shares[owner], params.threshold)
        except ConfigError:
            continue
        if fits(seed, owner=owner, wanted=wanted, params=params, ctx=ctx):
            rebuilt.seeds[owner] = seed
    return rebuilt.seeds.keys() == wanted.owners


def mend(rebuilt: Rebuilt, wanted: Wanted, doubts: Doubts, params: Params, ctx: Context) -> tuple[int, ...]:
    """No more shares will come: look for the right ones among them. Gives the owners whose seed is not to be found."""
    lost = []
    for owner in sorted(wanted.owners - rebuilt.seeds.keys()):
        accept = partial(fits, owner=owner, wanted=wanted, params=params, ctx=ctx)
        found = repair(rebuilt.shares.get(owner, {}), params.threshold, accept, liars=params.colluders)
        if found is None:
            lost.append(owner)
            continue
        rebuilt.seeds[owner] = found.secret
        for index in found.wrong:
            doubts.add(owner, index - 1, "share")
    return tuple(lost)


def masks_to_remove(rebuilt: Rebuilt, wanted: Wanted, sid: bytes, params: Params, ctx: Context, *, doubts: Doubts) -> list[Mask]:
    """What the survivors put on that does not cancel: their own masks, and those that they share with drop-outs.

    Where a survivor was told another key than the drop-out's seed gives, it has masked with that: one of the two lies.
    """
    seeds = rebuilt.seeds
    masks: list[Mask] = [(self_mask(seeds[place], sid, params.clients[place]), -1) for place in sorted(wanted.survivors)]
    for gone in sorted(wanted.dropped):
        name = params.clients[gone]
        agreeing = Agreeing(AgreementKey(mask_seed(seeds[gone], ctx, name)))
        left = [place for place in wanted.graph.circle(gone) if place in wanted.survivors]
        keys = pair_keys(agreeing, [wanted.records[place].mask for place in left], sid, name, [params.clients[place] for place in left])
        for place, key in zip(left, keys, strict=True):
            used = rebuilt.told.get((gone, place), key)
            # > Where they differ the told one is taken out, and that is a doubt between the two.
            if used != key:
                doubts.add(gone, place, "mask")
            masks.append((Stream(used), -pair_sign(place, gone)))
    return masks


def counted(tally: RunningSum, masks: Sequence[Mask], params: Params) -> int:
    """How many vectors the sum would count without these masks: its last word but one."""
    at = params.length - EXTRA
    words = tally.words[at:].copy()
    Lanes(masks, tally.ring).combine_into(words, at)
    return int(words[0])
