"""What runs in the demo's processes, one module a role: `python -m secagg.demo.parties ROLE NAME` with commands on standard input."""
