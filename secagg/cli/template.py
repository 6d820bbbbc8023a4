"""`secagg template`: a configuration file with every key explained."""

from __future__ import annotations

from typing import Annotated

import typer

from secagg.cli.output import begin

_POLICY = """\
[policy]                          # this party aborts rather than take part in a round that asks for less
n_min = 3                         # organisations that must be in a sum
h_min = 2                         # honest ones that must be left among them
colluders = 1                     # organisations assumed to collude with a server
min_servers = 2                   # aggregators that an update is split over, at least; 0 for protocols without them, as pairwise
min_bits = 4                      # coarsest values
# threshold = 0                   # parties that must answer, for protocols that have a threshold
# max_values = 2147483648         # longest vector that is encoded
# protocols = ["additive"]        # default: any that is installed
# tasks = ["captions"]            # default: any

# [policy.privacy]                # a round that promises less about this party's data is refused
# unit = "organisation"           # record, customer or organisation: the smallest that must be hidden
# epsilon = 2.0                   # most that one attempt may cost
# delta = 1e-6
"""

_SERVE = (
    """\
# The hub: `secagg serve FILE`. Paths are relative to this file.

[party]
identity = "pki/hub"              # folder of the coordinator, made by `secagg certs`
# state = "state/hub"             # ledger, spool files; default: IDENTITY/state

[hub]
address = "0.0.0.0:7070"          # what to listen on
# aggregators = ["pki/alpha"]     # aggregators that live in this process; at least one should live elsewhere
# engine = "ray"                  # sums over very long vectors: split over the workers of Ray (secagg[ray])

[task]
name = "captions"                 # rounds of a task only move forward: a new task gets a new name
model = "first.safetensors"       # what clients train from in round 1
# base_model = "…"                # SHA-256 (64 hexadecimal digits) of the frozen weights that the clients hold

[protocol]
name = "additive"                 # the other keys are those of its plan; clients and aggregators follow from the roster
clip = 1.0                        # L2 bound of an update
bits = 16                         # precision of one value
max_weight = 4096                 # largest number of examples of one client; 1 with [protocol.privacy]

# [protocol.privacy]              # noise that the sums carry; every client holds it against its own policy and budget
# unit = "organisation"
# mechanism = "skellam"           # or "discrete-gaussian"; "dp-sgd", with unit and clip, for noise in the training
# noise_multiplier = 4.0          # standard deviation of the certain honest shares over the clip
# epsilon = 2.0                   # what one attempt costs at most: the hub proves it before the first round
# delta = 1e-6

[rounds]
count = 10
deadline = 600                    # seconds for training and upload
wait = 600                        # seconds to wait for the parties before a round
finish = 60                       # seconds for the phases after the deadline
attempts = 3                      # of one round, before it counts as failed
tolerate = 0                      # rounds in a row that may fail before the hub gives up
rate = 1.0                        # server learning rate: the mean change is multiplied with it

[results]
folder = "results"                # model.safetensors, means and receipts

# What the aggregators in this process insist on.
"""
    + _POLICY
)

_AGGREGATE = (
    """\
# An aggregator or key holder: `secagg aggregate FILE`. Paths are relative to this file.

[party]
identity = "pki/alpha"            # folder made by `secagg certs`
# state = "state/alpha"           # ledger, spool files; default: IDENTITY/state

[hub]
address = "localhost:7070"        # what to dial

"""
    + _POLICY
    + """
# [results]
# folder = "receipts"             # keep the receipts of the rounds
"""
)

_JOIN = (
    """\
# A client: `secagg join FILE`. Paths are relative to this file.

[party]
identity = "pki/energy"           # folder made by `secagg certs`
# state = "state/energy"          # ledger, spool files; default: IDENTITY/state
# aggregator = "pki/energy-aggregator"   # peer mode: this organisation's aggregator runs beside the client

[hub]
address = "localhost:7070"        # what to dial
# patience = 3600                 # seconds to wait for the hub or the next round; default: as long as it takes

"""
    + _POLICY
    + """
[training]
callable = "training:train"       # train(state, round, **options) -> (trained, examples)
path = "."                        # where the module is looked for first
tensors = "numpy"                 # or "torch": the kind that the callable is given
returns = "state"                 # or "change": what the callable returns
# base_model = "…"                # SHA-256 of the frozen weights here: a round over others is refused

# [budget]                        # what rounds with privacy terms are paid from; needed with [policy.privacy]
# file = "budget.sqlite"          # made by `secagg budget set`
# data = "captions"

[training.options]                # whatever the callable takes
epochs = 1

[results]
folder = "results"                # receipts, and the last model
"""
)

TEMPLATES = {"serve": _SERVE, "aggregate": _AGGREGATE, "join": _JOIN}


def template(command: Annotated[str, typer.Argument(help="serve, aggregate or join.")]) -> None:
    """Print a configuration file for a command, with every key explained."""
    from secagg.errors import ConfigError

    begin(False)
    if command not in TEMPLATES:
        raise ConfigError(f"there is no file for {command!r}: one of {', '.join(TEMPLATES)}")
    typer.echo(TEMPLATES[command], nl=False)
