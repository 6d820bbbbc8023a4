"""Keys, certificates and rosters as files: each organisation makes its own keys, and a private key never leaves its folder.

```
 organisation                       hub operator                        everybody
 request  ── request.json ───────>  issue ── certificate ──> install
                                    roster build ── roster.signed ──>   sign (each organisation), compare by voice, pin
```

An identity folder, one for each party (`Identity.load(folder)`):

| file                   | who may see it | what it is                                                                                  |
|------------------------|----------------|---------------------------------------------------------------------------------------------|
| `keys/signing.pem`     | party, 0600    | Ed25519 private key, PKCS#8: signs every message                                            |
| `keys/sealing.pem`     | party, 0600    | HPKE private seed, `SECAGG HPKE PRIVATE KEY`: base64 of the suite byte and the seed         |
| `keys/tls.pem`         | party, 0600    | P-256 private key, PKCS#8: mutual TLS                                                       |
| `keys/certificate.pem` | anybody        | TLS certificate of the consortium's authority; SAN `DNS:PARTY`, `URI:secagg://PARTY`        |
| `next/`                | as `keys/`     | the same after `renew`, until the roster that names these keys is pinned                    |
| `organisation.pem`     | organisation, 0600 | Ed25519 private key, PKCS#8: signs rosters and requests; may lie elsewhere, better offline |
| `request.json`         | anybody        | the party's public keys, signed by the party and by its organisation                        |
| `ca.pem`               | anybody        | certificate of the consortium's authority                                                   |
| `revoked.crl`          | anybody        | X.509 revocation list of the authority, if one was installed                                |
| `roster.signed`        | anybody        | the roster in force and the organisations' signatures                                       |
| `roster.pin`           | anybody        | its hash, 64 hexadecimal digits, as compared with the partners                              |

The authority's folder, at the hub operator only:

| file          | who may see it | what it is                                                    |
|---------------|----------------|---------------------------------------------------------------|
| `ca-key.pem`  | operator, 0600 | P-256 private key, PKCS#8: issues and revokes certificates    |
| `ca.pem`      | anybody        | its certificate                                               |
| `issued.json` | operator       | serial, party and end of every certificate it issued          |
| `revoked.crl` | anybody        | X.509 revocation list                                         |

Guarantees: private files are created with mode 0600 under any umask, appear whole or not at all, replace nothing, and are refused
when others on the machine can read them. Nothing a partner receives is derived from a private key other than public keys and signatures.
"""

from __future__ import annotations

from secagg.pki.folder import load_identity, load_tls
from secagg.pki.tls import TlsFiles

__all__ = ["TlsFiles", "load_identity", "load_tls"]
