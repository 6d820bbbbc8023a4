from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdditiveReport(_message.Message):
    __slots__ = ("report", "version", "parts", "sealed", "commitment")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    report: bytes
    version: int
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    sealed: bytes
    commitment: bytes
    def __init__(self, report: _Optional[bytes] = ..., version: _Optional[int] = ..., parts: _Optional[_Iterable[bytes]] = ..., sealed: _Optional[bytes] = ..., commitment: _Optional[bytes] = ...) -> None: ...

class AdditiveAccepted(_message.Message):
    __slots__ = ("client", "root", "signature")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    client: str
    root: bytes
    signature: bytes
    def __init__(self, client: _Optional[str] = ..., root: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class AdditiveClose(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AdditiveEntry(_message.Message):
    __slots__ = ("client", "root")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    client: str
    root: bytes
    def __init__(self, client: _Optional[str] = ..., root: _Optional[bytes] = ...) -> None: ...

class AdditiveListed(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AdditiveEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AdditiveEntry, _Mapping]]] = ...) -> None: ...

class AdditiveAgreed(_message.Message):
    __slots__ = ("included", "roots", "signature")
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    included: _containers.RepeatedScalarFieldContainer[str]
    roots: bytes
    signature: bytes
    def __init__(self, included: _Optional[_Iterable[str]] = ..., roots: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class AdditiveAhead(_message.Message):
    __slots__ = ("roots", "commitment")
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    roots: bytes
    commitment: bytes
    def __init__(self, roots: _Optional[bytes] = ..., commitment: _Optional[bytes] = ...) -> None: ...

class AdditiveShare(_message.Message):
    __slots__ = ("roots", "sealed", "commitment")
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    roots: bytes
    sealed: bytes
    commitment: bytes
    def __init__(self, roots: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., commitment: _Optional[bytes] = ...) -> None: ...
