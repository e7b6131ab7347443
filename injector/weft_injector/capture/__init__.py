"""Traffic capture: which of a pod's TCP connections are led through its Envoy.

`annotations` reads a pod's wishes and `flags` those of a command line, `settings` holds them, `rules` says what becomes
of each connection; `nftables` and `iptables` write that down for `nft -f` and `iptables-restore`. All of that is pure
data. `backend` says which of the kernel's ways to try, and `apply` alone runs the tools.
"""
