"""Ingest: what the API server holds, into the registry's tables, complete from the first push on and never stale."""
