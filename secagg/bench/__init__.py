"""What privacy costs: every protocol on the same work, plaintext beside it, as ratios measured in one run.

    case      what one measurement runs: protocol × clients × values × drop-outs × DP
    play      one case, in a process of its own: a whole round in memory, every step of every party metered
    limits    what this machine allows: keystream, memory, TLS, signatures
    campaign  all cases, interleaved and repeated, into a file that a later run goes on with
    findings  medians, ratios, growth exponents, estimates for slower links
    page      one self-contained HTML page; `table` the same for a terminal; `compare` two files beside each other

`secagg bench` runs it.
"""
