"""Certificates in a cluster: where the root is kept, and how leafs and roots reach pods, proxies and webhooks.

Decisions are pure functions of objects and a time; the classes around them read, call and write. What each replica does
and what only the leader may do are separate coroutines, for whoever composes them.
"""
