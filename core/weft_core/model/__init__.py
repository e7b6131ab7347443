"""What users write, as immutable values: mesh resources (pydantic), Kubernetes objects (msgspec), their decoding."""
