"""`weft up`: a mesh of real Envoys and ordinary processes on one machine, described by Kubernetes YAML in a folder."""
