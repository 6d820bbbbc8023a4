"""The client's last two steps: it agrees to one set of survivors, and gives one share of each party that it holds shares of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secagg.crypto.derive import derive, digest, frame
from secagg.crypto.pairs import join, seal_box, vouch, vouches
from secagg.crypto.sign import first_bad
from secagg.errors import InvalidMessage
from secagg.receipt import sign_agreement, statement
from secagg.roles import Outgoing
from secagg.types import Context, Entropy, PartyId, Secret

from .keys import Pair, Seat, Session, Voucher
from .messages import Agreement, Confirm, Reveal, Survivors
from .records import places

AGREEMENT = "agreement"
"""The purpose under which `secagg.receipt.sign_agreement` signs a set."""
_WORD = 8


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The masked vector is out; the seeds are gone. `key` sealed the upload, and will seal the shares.

    `told` are keys of masks as others told them: of one that drops out, the server must know with which key this client masked.
    """

    session: Session
    held: Mapping[int, Pair]
    told: Mapping[int, Secret]
    vouchers: Mapping[int, Voucher]
    key: Secret
    digest: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The set is signed for. One share is left of each pair: the other kind is gone before anything of it could be asked for.

    So are the keys that survivors told. `kept` ends with those of drop-outs, which their seeds would give, too.
    """

    session: Session
    survivors: tuple[int, ...]
    roots: bytes
    kept: tuple[Secret, ...]
    vouched: Mapping[int, Secret]
    key: Secret


@dataclass(frozen=True, slots=True)
class Done:
    """The shares are out."""


def confirm(state: Uploaded, message: Survivors, *, seat: Seat) -> tuple[Confirmed, list[Outgoing]]:
    """Agree to the set, and give up the other half of every pair of shares. [BIK+17, Fig. 4, Round 3]"""
    survivors = check_survivors(state, message, seat=seat)
    alive = frozenset(survivors)
    # > Of every pair one share is kept: the self-mask's of a survivor, the key seed's of a drop-out.
    kept = tuple(pair.self_mask if place in alive else pair.key for place, pair in state.held.items())
    # > After them it keeps the keys that drop-outs told it, in the order of the places.
    kept += tuple(key for place, key in state.told.items() if place not in alive)
    roots = roots_hash(state.session.sid, message)
    signature = sign_agreement(seat.me, seat.ctx.rd, seat.params.names(survivors), roots)
    # > On the complete graph the client vouches for the set to each other survivor, too.
    others = [state.vouchers[place] for place in survivors if place != seat.place] if state.session.graph.complete else []
    tags = tuple(vouch(voucher.own, vouched_for(seat.ctx, roots)) for voucher in others)
    heard = {place: voucher.other for place, voucher in state.vouchers.items() if others and place in alive}
    return Confirmed(state.session, survivors, roots, kept, heard, state.key), [Outgoing(seat.params.server, Confirm(signature, tags))]


def check_survivors(state: Uploaded, message: Survivors, *, seat: Seat) -> tuple[int, ...]:
    """The set that the server names, by place. Raises InvalidMessage."""
    params, graph, blame = seat.params, state.session.graph, [seat.params.server]
    survivors = places(message.present, params.size, check="PW-C9", culprit=params.server)
    # > The set has a digest each, and this client is in it with the digest of what it sent (PW-C9).
    if len(message.digests) != len(survivors) or seat.place not in survivors:
        raise InvalidMessage("PW-C9", "the set of survivors does not hold this client", culprits=blame)
    if message.digests[survivors.index(seat.place)] != state.digest:
        raise InvalidMessage("PW-C9", "the set names another upload than this client sent", culprits=blame)
    alive = frozenset(survivors)
    # > Whoever is in the set has advertised, and if it is in this client's circle, its box has come (PW-C10).
    if not alive <= frozenset(graph.members) or not alive & frozenset(graph.circle(seat.place)) <= state.held.keys():
        raise InvalidMessage("PW-C10", "the set holds a client that this one shares no mask with", culprits=blame)
    # > No set below the quorum, and none of fewer than F organisations, is confirmed (PW-C11).
    if not params.enough(survivors, params.quorum):
        raise InvalidMessage(
            "PW-C11", f"{len(survivors)} survivors; {params.quorum}, of at least {params.floor} organisations, are needed", culprits=blame
        )
    # > On a sparse graph every k/2 consecutive places keep more survivors than colluders can stand there (PW-C12).
    if graph.fewest_in_a_run(survivors) < params.run:
        raise InvalidMessage("PW-C12", f"a run of the circle keeps fewer than {params.run} survivors", culprits=blame)
    return survivors


def vouched_for(ctx: Context, roots: bytes) -> bytes:
    """What a voucher is about."""
    return frame("pairwise/voucher", ctx.rd, roots)


def roots_hash(sid: bytes, message: Survivors) -> bytes:
    """Digest of the uploads that are summed."""
    return digest("pairwise/roots", sid, message.present, b"".join(message.digests))


def reveal(state: Confirmed, message: Agreement, *, seat: Seat, entropy: Entropy) -> tuple[Done, list[Outgoing]]:
    """Everybody has signed the same set: give the one share that is left of each pair. [BIK+17, Fig. 4, Round 4]"""
    check_agreement(state, message, seat=seat, entropy=entropy)
    box = seal_box(reveal_key(state.key, state.session.sid), join(state.kept), context=reveal_context(seat.ctx, state.roots, seat.me.party))
    return Done(), [Outgoing(seat.params.server, Reveal(box))]


def check_agreement(state: Confirmed, message: Agreement, *, seat: Seat, entropy: Entropy) -> None:
    """Raises InvalidMessage."""
    params, blame = seat.params, [seat.params.server]
    signers = places(message.present, params.size, check="PW-C13", culprit=params.server)
    # > At least the quorum of the survivors, of at least F organisations, have signed (PW-C13).
    if len(message.signatures) != len(signers) or not set(signers) <= set(state.survivors) or not params.enough(signers, params.quorum):
        raise InvalidMessage("PW-C13", f"{len(signers)} clients have signed the set; {params.quorum} needed", culprits=blame)
    signed = statement(seat.ctx.rd, params.names(state.survivors), state.roots)
    drawn = doubtful(state, message, signers, draw(len(signers), params.spots, entropy), seat=seat)
    names = [params.clients[signers[index]] for index in drawn]
    # > Every signer that the client draws by its own coins has vouched for exactly this set to it, or signed exactly this set (PW-C14).
    bad = first_bad(
        [(seat.me.roster.member(name).signing, message.signatures[index], signed) for name, index in zip(names, drawn, strict=True)],
        AGREEMENT,
    )
    if bad is not None:
        raise InvalidMessage("PW-C14", f"{names[bad]} has not signed the set that the server names", culprits=blame)


def doubtful(state: Confirmed, message: Agreement, signers: Sequence[int], drawn: Sequence[int], *, seat: Seat) -> list[int]:
    """Those of the drawn whose voucher does not convince this client: it looks at their signatures."""
    others = [place for place in signers if place != seat.place]
    if len(message.tags) != len(others):
        return list(drawn)
    tags, said = dict(zip(others, message.tags, strict=True)), vouched_for(seat.ctx, state.roots)
    heard = state.vouched
    return [index for index in drawn if (place := signers[index]) not in heard or not vouches(heard[place], tags[place], said)]


def draw(count: int, wanted: int, entropy: Entropy) -> list[int]:
    """`wanted` of `count` indices, uniform and without repetition; all of them if there are no more."""
    if wanted >= count:
        return list(range(count))
    words = np.frombuffer(entropy(_WORD * count), np.dtype("<u8"))
    return sorted(np.argsort(words, kind="stable")[:wanted].tolist())


def reveal_key(key: Secret, sid: bytes) -> Secret:
    """The key of a client's box of shares; it seals one box only."""
    return derive(key, salt=sid, label="pairwise/reveal")


def reveal_context(ctx: Context, roots: bytes, client: PartyId) -> bytes:
    """What a box of shares is bound to."""
    return frame("pairwise/reveal-context", ctx.rd, roots, client.encode())
