"""The memorisation meter: what a trained model tells of single examples, measured by planting some that nobody wrote.

    canaries      sentences with a random secret, to plant in the data or to keep out
    reading       a transformers model before a canary's sentence: the scores that the others take
    exposure      how far the planted secret stands out among all that could have been: bits
    extraction    whether greedy decoding writes the secret out, and how many samples it takes with what probability
    bound         a lower bound on ε from one training run, with confidence: what an accountant claims must not be below it

A low reading proves nothing: it says that these attacks on these canaries did not succeed. A high one proves a leak.
"""
