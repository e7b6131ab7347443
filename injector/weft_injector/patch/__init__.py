"""The sidecar patch: what a pod's author wrote, and what it becomes in the mesh.

Pure functions on the pod as the API server sends it, a plain JSON document. `pod.Pod` is a typed view of the few fields
that are read; what is written goes into a copy of the document itself, so that nothing that Weft has never heard of is
lost. `inject.inject_pod` puts the parts together, `json_patch.difference` says the result as RFC 6902.
"""
