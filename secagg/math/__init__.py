"""Arithmetic without bytes on a wire and without keys: the ring that vectors are summed in, the prime field, and two ways to share."""
