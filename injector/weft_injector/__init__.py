"""Sidecar injection and the certificate authority."""
