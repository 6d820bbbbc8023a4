from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PairwiseAdvert(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: bytes
    def __init__(self, record: _Optional[bytes] = ...) -> None: ...

class PairwiseAdverts(_message.Message):
    __slots__ = ("present", "digests", "records")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    present: bytes
    digests: bytes
    records: bytes
    def __init__(self, present: _Optional[bytes] = ..., digests: _Optional[bytes] = ..., records: _Optional[bytes] = ...) -> None: ...

class PairwiseShares(_message.Message):
    __slots__ = ("boxes",)
    BOXES_FIELD_NUMBER: _ClassVar[int]
    boxes: bytes
    def __init__(self, boxes: _Optional[bytes] = ...) -> None: ...

class PairwiseInbox(_message.Message):
    __slots__ = ("present", "boxes")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    present: bytes
    boxes: bytes
    def __init__(self, present: _Optional[bytes] = ..., boxes: _Optional[bytes] = ...) -> None: ...

class PairwiseMasked(_message.Message):
    __slots__ = ("version", "sealed", "commitment")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    version: int
    sealed: bytes
    commitment: bytes
    def __init__(self, version: _Optional[int] = ..., sealed: _Optional[bytes] = ..., commitment: _Optional[bytes] = ...) -> None: ...

class PairwiseComplaint(_message.Message):
    __slots__ = ("accused",)
    ACCUSED_FIELD_NUMBER: _ClassVar[int]
    accused: str
    def __init__(self, accused: _Optional[str] = ...) -> None: ...

class PairwiseSurvivors(_message.Message):
    __slots__ = ("present", "digests")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    present: bytes
    digests: bytes
    def __init__(self, present: _Optional[bytes] = ..., digests: _Optional[bytes] = ...) -> None: ...

class PairwiseConfirm(_message.Message):
    __slots__ = ("signature", "tags")
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    signature: bytes
    tags: bytes
    def __init__(self, signature: _Optional[bytes] = ..., tags: _Optional[bytes] = ...) -> None: ...

class PairwiseAgreement(_message.Message):
    __slots__ = ("present", "signatures", "tags")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    present: bytes
    signatures: bytes
    tags: bytes
    def __init__(self, present: _Optional[bytes] = ..., signatures: _Optional[bytes] = ..., tags: _Optional[bytes] = ...) -> None: ...

class PairwiseReveal(_message.Message):
    __slots__ = ("box",)
    BOX_FIELD_NUMBER: _ClassVar[int]
    box: bytes
    def __init__(self, box: _Optional[bytes] = ...) -> None: ...
