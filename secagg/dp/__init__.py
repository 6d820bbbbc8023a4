"""Differential privacy: what a sum, or a model trained on it, may say about one record, one customer or one organisation.

    accountant    ε of noisy steps, by privacy loss distributions, checked against Rényi divergences
    budget        what was spent of one party's data, on disk, with a hard stop at the limit
    local         DP-SGD on the adapter of a peft model, over Opacus: what one party trains says little of any one record
    audit         what a trained model tells of single examples: exposure, extraction, a lower bound on ε
    distributed   ε of integer noise that parties add before a secure sum: scale, sensitivity, who knows how much of it
    integer       what shares of integer noise hide in a sum, and how far they reach
    sampler       draws of exactly their laws, by a table whose doubtful cases are resolved
    noisy         an update with its share: rounded until it is within the bound, then noise, in the ring

Stands beside the protocols: nothing here knows a message or a socket.
"""
