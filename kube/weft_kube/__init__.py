"""The way to the Kubernetes API: a client of bytes and JSON, watches, and the envelopes of admission."""
