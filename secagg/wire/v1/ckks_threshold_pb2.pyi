from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ThresholdOffer(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    def __init__(self, key: _Optional[bytes] = ...) -> None: ...

class ThresholdReport(_message.Message):
    __slots__ = ("version", "digest", "sealed", "signature", "imprints")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    IMPRINTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    digest: bytes
    sealed: _containers.RepeatedScalarFieldContainer[bytes]
    signature: bytes
    imprints: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, version: _Optional[int] = ..., digest: _Optional[bytes] = ..., sealed: _Optional[_Iterable[bytes]] = ..., signature: _Optional[bytes] = ..., imprints: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ThresholdEntry(_message.Message):
    __slots__ = ("client", "version", "digest", "parts", "sealed", "signature", "imprint")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    IMPRINT_FIELD_NUMBER: _ClassVar[int]
    client: str
    version: int
    digest: bytes
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    sealed: bytes
    signature: bytes
    imprint: bytes
    def __init__(self, client: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[bytes] = ..., parts: _Optional[_Iterable[bytes]] = ..., sealed: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., imprint: _Optional[bytes] = ...) -> None: ...

class ThresholdFixed(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ThresholdEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[ThresholdEntry, _Mapping]]] = ...) -> None: ...

class ThresholdCommitted(_message.Message):
    __slots__ = ("included", "roots", "signature", "commitment")
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    included: _containers.RepeatedScalarFieldContainer[str]
    roots: bytes
    signature: bytes
    commitment: bytes
    def __init__(self, included: _Optional[_Iterable[str]] = ..., roots: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., commitment: _Optional[bytes] = ...) -> None: ...

class ThresholdShare(_message.Message):
    __slots__ = ("sealed",)
    SEALED_FIELD_NUMBER: _ClassVar[int]
    sealed: bytes
    def __init__(self, sealed: _Optional[bytes] = ...) -> None: ...
