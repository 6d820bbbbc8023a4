"""One party's private keys, with the roster they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secagg.crypto.seal import OpenKey
from secagg.crypto.sign import SigningKey
from secagg.errors import ConfigError
from secagg.roster import Member, Roster
from secagg.types import PartyId


@dataclass(frozen=True, slots=True)
class Identity:
    """A party that can sign and open. Keys are Secrets: they show in no repr, and an Identity does not pickle.

    `folder` is where its TLS files lie, None for one that lives in memory only.
    """

    party: PartyId
    signing: SigningKey
    opening: OpenKey
    roster: Roster
    folder: Path | None = None

    @classmethod
    def load(cls, folder: Path | str) -> Identity:
        """The party whose keys lie in `folder`, as `secagg certs` made them.

        Raises:
            ConfigError: a file is missing, a private key is readable by others, the roster is not the pinned one, or a key is expired.
        """
        from secagg.pki.folder import load_identity

        return load_identity(Path(folder))

    def __post_init__(self) -> None:
        member = self.member
        if member.signing != self.signing.verify_key() or member.sealing != self.opening.seal_key():
            raise ConfigError(
                f"the keys of {self.party} are not those that the roster names: run `secagg certs request` again, or pin the newer roster"
            )

    @property
    def member(self) -> Member:
        """Its entry in the roster."""
        return self.roster.member(self.party)
