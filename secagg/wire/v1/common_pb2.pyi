from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Member(_message.Message):
    __slots__ = ("party", "organisation", "role", "signing_key", "sealing_key", "not_before", "not_after")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    party: str
    organisation: str
    role: str
    signing_key: bytes
    sealing_key: bytes
    not_before: int
    not_after: int
    def __init__(self, party: _Optional[str] = ..., organisation: _Optional[str] = ..., role: _Optional[str] = ..., signing_key: _Optional[bytes] = ..., sealing_key: _Optional[bytes] = ..., not_before: _Optional[int] = ..., not_after: _Optional[int] = ...) -> None: ...

class Organisation(_message.Message):
    __slots__ = ("name", "signing_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    signing_key: bytes
    def __init__(self, name: _Optional[str] = ..., signing_key: _Optional[bytes] = ...) -> None: ...

class Roster(_message.Message):
    __slots__ = ("consortium", "epoch", "organisations", "members")
    CONSORTIUM_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ORGANISATIONS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    consortium: str
    epoch: int
    organisations: _containers.RepeatedCompositeFieldContainer[Organisation]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, consortium: _Optional[str] = ..., epoch: _Optional[int] = ..., organisations: _Optional[_Iterable[_Union[Organisation, _Mapping]]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class OrganisationSignature(_message.Message):
    __slots__ = ("organisation", "signature")
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    organisation: str
    signature: bytes
    def __init__(self, organisation: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class SignedRoster(_message.Message):
    __slots__ = ("roster", "signatures")
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    roster: bytes
    signatures: _containers.RepeatedCompositeFieldContainer[OrganisationSignature]
    def __init__(self, roster: _Optional[bytes] = ..., signatures: _Optional[_Iterable[_Union[OrganisationSignature, _Mapping]]] = ...) -> None: ...

class Floors(_message.Message):
    __slots__ = ("threshold", "colluders", "n_min", "h_min")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    COLLUDERS_FIELD_NUMBER: _ClassVar[int]
    N_MIN_FIELD_NUMBER: _ClassVar[int]
    H_MIN_FIELD_NUMBER: _ClassVar[int]
    threshold: int
    colluders: int
    n_min: int
    h_min: int
    def __init__(self, threshold: _Optional[int] = ..., colluders: _Optional[int] = ..., n_min: _Optional[int] = ..., h_min: _Optional[int] = ...) -> None: ...

class Encoding(_message.Message):
    __slots__ = ("clips", "bits", "rotation", "max_weight", "max_parties", "ring_bits", "value_clip", "noise_tail")
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    MAX_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_PARTIES_FIELD_NUMBER: _ClassVar[int]
    RING_BITS_FIELD_NUMBER: _ClassVar[int]
    VALUE_CLIP_FIELD_NUMBER: _ClassVar[int]
    NOISE_TAIL_FIELD_NUMBER: _ClassVar[int]
    clips: _containers.RepeatedScalarFieldContainer[float]
    bits: int
    rotation: bool
    max_weight: int
    max_parties: int
    ring_bits: int
    value_clip: float
    noise_tail: int
    def __init__(self, clips: _Optional[_Iterable[float]] = ..., bits: _Optional[int] = ..., rotation: _Optional[bool] = ..., max_weight: _Optional[int] = ..., max_parties: _Optional[int] = ..., ring_bits: _Optional[int] = ..., value_clip: _Optional[float] = ..., noise_tail: _Optional[int] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("version", "model", "factor")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    version: int
    model: bytes
    factor: int
    def __init__(self, version: _Optional[int] = ..., model: _Optional[bytes] = ..., factor: _Optional[int] = ...) -> None: ...

class Privacy(_message.Message):
    __slots__ = ("unit", "mechanism", "noise_multiplier", "epsilon", "delta", "clip", "aggregator_noise")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MECHANISM_FIELD_NUMBER: _ClassVar[int]
    NOISE_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    CLIP_FIELD_NUMBER: _ClassVar[int]
    AGGREGATOR_NOISE_FIELD_NUMBER: _ClassVar[int]
    unit: str
    mechanism: str
    noise_multiplier: float
    epsilon: float
    delta: float
    clip: float
    aggregator_noise: float
    def __init__(self, unit: _Optional[str] = ..., mechanism: _Optional[str] = ..., noise_multiplier: _Optional[float] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., clip: _Optional[float] = ..., aggregator_noise: _Optional[float] = ...) -> None: ...

class RoundDescription(_message.Message):
    __slots__ = ("protocol", "version", "task", "round", "attempt", "roster_hash", "coordinator", "cohort", "servers", "floors", "encoding", "layout", "base_model", "inputs", "quorum", "submit_ms", "finish_ms", "nonce", "values", "parameters", "privacy")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ROSTER_HASH_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    COHORT_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    FLOORS_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_MS_FIELD_NUMBER: _ClassVar[int]
    FINISH_MS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    protocol: str
    version: int
    task: str
    round: int
    attempt: int
    roster_hash: bytes
    coordinator: str
    cohort: _containers.RepeatedScalarFieldContainer[str]
    servers: _containers.RepeatedScalarFieldContainer[str]
    floors: Floors
    encoding: Encoding
    layout: bytes
    base_model: bytes
    inputs: _containers.RepeatedCompositeFieldContainer[Input]
    quorum: int
    submit_ms: int
    finish_ms: int
    nonce: bytes
    values: int
    parameters: str
    privacy: Privacy
    def __init__(self, protocol: _Optional[str] = ..., version: _Optional[int] = ..., task: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., roster_hash: _Optional[bytes] = ..., coordinator: _Optional[str] = ..., cohort: _Optional[_Iterable[str]] = ..., servers: _Optional[_Iterable[str]] = ..., floors: _Optional[_Union[Floors, _Mapping]] = ..., encoding: _Optional[_Union[Encoding, _Mapping]] = ..., layout: _Optional[bytes] = ..., base_model: _Optional[bytes] = ..., inputs: _Optional[_Iterable[_Union[Input, _Mapping]]] = ..., quorum: _Optional[int] = ..., submit_ms: _Optional[int] = ..., finish_ms: _Optional[int] = ..., nonce: _Optional[bytes] = ..., values: _Optional[int] = ..., parameters: _Optional[str] = ..., privacy: _Optional[_Union[Privacy, _Mapping]] = ...) -> None: ...

class SignedDescription(_message.Message):
    __slots__ = ("description", "signature")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    description: bytes
    signature: bytes
    def __init__(self, description: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("version", "kind", "task", "round", "attempt", "rd", "sender", "recipient", "body_hash", "payload_size", "slot")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RD_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    BODY_HASH_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_SIZE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    version: int
    kind: str
    task: str
    round: int
    attempt: int
    rd: bytes
    sender: str
    recipient: str
    body_hash: bytes
    payload_size: int
    slot: str
    def __init__(self, version: _Optional[int] = ..., kind: _Optional[str] = ..., task: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., rd: _Optional[bytes] = ..., sender: _Optional[str] = ..., recipient: _Optional[str] = ..., body_hash: _Optional[bytes] = ..., payload_size: _Optional[int] = ..., slot: _Optional[str] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("header", "signature", "body")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    signature: bytes
    body: bytes
    def __init__(self, header: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class PartySignature(_message.Message):
    __slots__ = ("party", "signature")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    party: str
    signature: bytes
    def __init__(self, party: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Spent(_message.Message):
    __slots__ = ("rd", "party", "epsilon", "delta")
    RD_FIELD_NUMBER: _ClassVar[int]
    PARTY_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    rd: bytes
    party: str
    epsilon: float
    delta: float
    def __init__(self, rd: _Optional[bytes] = ..., party: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ...) -> None: ...

class SignedSpent(_message.Message):
    __slots__ = ("spent", "signature")
    SPENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    spent: bytes
    signature: bytes
    def __init__(self, spent: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("description", "description_signature", "included", "agreed_roots", "agreement", "result", "signature", "spent")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    AGREED_ROOTS_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    description: bytes
    description_signature: bytes
    included: _containers.RepeatedScalarFieldContainer[str]
    agreed_roots: bytes
    agreement: _containers.RepeatedCompositeFieldContainer[PartySignature]
    result: bytes
    signature: bytes
    spent: _containers.RepeatedCompositeFieldContainer[SignedSpent]
    def __init__(self, description: _Optional[bytes] = ..., description_signature: _Optional[bytes] = ..., included: _Optional[_Iterable[str]] = ..., agreed_roots: _Optional[bytes] = ..., agreement: _Optional[_Iterable[_Union[PartySignature, _Mapping]]] = ..., result: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., spent: _Optional[_Iterable[_Union[SignedSpent, _Mapping]]] = ...) -> None: ...

class Abort(_message.Message):
    __slots__ = ("code", "culprit", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    CULPRIT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: str
    culprit: str
    reason: str
    def __init__(self, code: _Optional[str] = ..., culprit: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
