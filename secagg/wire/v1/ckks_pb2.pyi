from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CkksKey(_message.Message):
    __slots__ = ("sealed",)
    SEALED_FIELD_NUMBER: _ClassVar[int]
    sealed: bytes
    def __init__(self, sealed: _Optional[bytes] = ...) -> None: ...

class CkksEncrypted(_message.Message):
    __slots__ = ("version", "seed", "digest")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    version: int
    seed: bytes
    digest: bytes
    def __init__(self, version: _Optional[int] = ..., seed: _Optional[bytes] = ..., digest: _Optional[bytes] = ...) -> None: ...

class CkksSeed(_message.Message):
    __slots__ = ("version", "seed", "digest")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    version: int
    seed: bytes
    digest: bytes
    def __init__(self, version: _Optional[int] = ..., seed: _Optional[bytes] = ..., digest: _Optional[bytes] = ...) -> None: ...

class CkksEntry(_message.Message):
    __slots__ = ("client", "root")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    client: str
    root: bytes
    def __init__(self, client: _Optional[str] = ..., root: _Optional[bytes] = ...) -> None: ...

class CkksAdded(_message.Message):
    __slots__ = ("entries", "digest")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[CkksEntry]
    digest: bytes
    def __init__(self, entries: _Optional[_Iterable[_Union[CkksEntry, _Mapping]]] = ..., digest: _Optional[bytes] = ...) -> None: ...

class CkksOpened(_message.Message):
    __slots__ = ("included", "roots", "signature", "sealed", "commitment")
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    included: _containers.RepeatedScalarFieldContainer[str]
    roots: bytes
    signature: bytes
    sealed: bytes
    commitment: bytes
    def __init__(self, included: _Optional[_Iterable[str]] = ..., roots: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., commitment: _Optional[bytes] = ...) -> None: ...
