"""Kubernetes: watches, ingest, status, leadership."""
