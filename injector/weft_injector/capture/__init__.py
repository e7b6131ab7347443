"""Traffic capture: which of a pod's TCP connections are led through its Envoy, as pure data.

`annotations` reads a pod's wishes, `settings` holds them, `rules` says what becomes of each connection and `nftables`
writes that down for `nft -f`. Nothing here touches a kernel, and nothing applies the rules yet: the `weft redirect`
command of the pod's init container is to do that.
"""
