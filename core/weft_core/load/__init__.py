"""From text to objects: YAML with line numbers, sets of files, and the mesh configuration. No I/O: texts come in."""
