"""Delta xDS: intermediate form to protobuf to bytes to streams."""
