"""Status: what users see of their objects with `kubectl get`, `describe` and `wait`.

`conditions.py` decides what a status says, `writer.py` brings it to the API server, `peers.py` asks the other replicas
about their proxies.
"""
