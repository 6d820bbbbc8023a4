"""Cryptography, thin over pyca/cryptography: every call names its purpose, and a purpose is never used twice."""
