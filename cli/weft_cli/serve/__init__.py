"""`weft serve`: the composition roots of the control plane, one for a folder and one for a cluster."""
