"""A role's state as sealed bytes, and back: for frameworks that call a client in a new process for every message.

States are frozen dataclasses of a few kinds of values. They are written as JSON with a tag for every kind that JSON lacks, then
sealed with AES-256-GCM under a key that only this party has, bound to the round: what a framework stores shows no secret, and a
snapshot of another round or party does not open. Nothing is pickled, and only the classes that a protocol lists are restored.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg.crypto.derive import derive, frame
from secagg.errors import ConfigError, LocalProtocolError
from secagg.identity import Identity
from secagg.payload import Blob, Payload, join
from secagg.types import Context, Entropy, Secret

_NONCE = 12
_LABEL = "snapshot"


def seal_state(state: object, *, me: Identity, ctx: Context, entropy: Entropy) -> bytes:
    """`state` as bytes that only `me` can open, in this round only. Raises LocalProtocolError for a value that has no form."""
    plain = json.dumps(_write(state), separators=(",", ":")).encode()
    # The state itself goes into the nonce: even if the entropy repeats, two states never share one.
    nonce = derive(_key(me, ctx), salt=entropy(32), label="snapshot/nonce", info=(plain,), length=_NONCE).expose()
    return nonce + AESGCM(_key(me, ctx).expose()).encrypt(nonce, plain, _bound(me, ctx))


def open_state(sealed: bytes, classes: Iterable[type], *, me: Identity, ctx: Context) -> object:
    """The state in `sealed`, made of `classes` only. Raises ConfigError for bytes that are not a snapshot of this party and round."""
    try:
        plain = AESGCM(_key(me, ctx).expose()).decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(me, ctx))
    except (InvalidTag, ValueError) as refused:
        raise ConfigError(
            f"not a snapshot of {me.party} in round {ctx.round}, attempt {ctx.attempt}: the framework gave back other bytes"
        ) from refused
    return _read(json.loads(plain), {_name(kind): kind for kind in classes})


def _key(me: Identity, ctx: Context) -> Secret:
    return derive(me.signing.seed, salt=ctx.rd, label=_LABEL)


def _bound(me: Identity, ctx: Context) -> bytes:
    return frame(_LABEL, ctx.rd, me.party.encode())


def _write(value: object) -> Any:  # noqa: ANN401  # JSON
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"bytes": _text(value)}
        case Secret():
            return {"secret": _text(value.expose())}
        case np.ndarray():
            return {"array": value.dtype.str, "shape": list(value.shape), "data": _text(value.tobytes())}
        case tuple() | list():
            return {"tuple": [_write(item) for item in value]}
        case frozenset():
            return {"set": [_write(item) for item in sorted(value)]}
        case Mapping():
            return {"map": [[_write(key), _write(item)] for key, item in value.items()]}
        case _ if dataclasses.is_dataclass(value):
            return {
                "class": _name(type(value)),
                "fields": {f.name: _write(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init},
            }
        case _ if hasattr(value, "chunk"):
            return {"payload": _text(join(cast(Payload, value)))}
    raise LocalProtocolError(f"a {type(value).__name__} cannot stand in a snapshot")


def _read(value: Any, classes: Mapping[str, type]) -> Any:  # noqa: ANN401  # JSON
    if not isinstance(value, dict):
        return value
    match value:
        case {"bytes": text}:
            return _bytes(text)
        case {"secret": text}:
            return Secret(_bytes(text))
        case {"array": dtype, "shape": shape, "data": text}:
            return np.frombuffer(_bytes(text), dtype).reshape(shape).copy()
        case {"tuple": items}:
            return tuple(_read(item, classes) for item in items)
        case {"set": items}:
            return frozenset(_read(item, classes) for item in items)
        case {"map": items}:
            return {_read(key, classes): _read(item, classes) for key, item in items}
        case {"payload": text}:
            return Blob(_bytes(text))
        case {"class": name, "fields": fields} if name in classes:
            return classes[name](**{field: _read(item, classes) for field, item in fields.items()})
    raise ConfigError(f"a snapshot holds {sorted(value)}, which this protocol does not know: was it written by another version?")


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
