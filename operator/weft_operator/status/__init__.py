"""Status: what users see of their objects with `kubectl get`, `describe` and `wait`.

`conditions.py` decides what a status says, `ledger.py` which are written next, and `writer.py` brings them to the API
server. `findings.py` is what is wrong with the objects, `replica.py` tells of this replica's proxies, `peers.py` asks
the others about theirs.
"""
