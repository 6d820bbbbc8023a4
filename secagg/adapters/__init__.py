"""Into the stacks that people run already: whatever can carry bytes can carry a secure round.

```
 stack's server                                   stack's client, called once for each message
 Relay.begin(model, cohort) ── a bag for each ──▶ Party(identity, kept).answer(bag, train)
 Relay.finish(bags, exchange) ◀─── a bag back ──┘       │ keeps: its state, sealed
      │  as often as the protocol needs: exchange(bags) │
      └─▶ Result: the mean, who is in it, the receipt
```

`bag`, `party` and `relay` know no framework: docs/guide/own-stack.md joins a stack of your own with them. `flower`,
`nvflare` and `transformers` are such joints; each loads its framework when it is imported, not before.
"""
