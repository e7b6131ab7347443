"""The intermediate form: what the views say about traffic, in Weft's words and without protobuf.

Frozen, comparable dataclasses. `weft_xds.build` turns them into Envoy's messages, one builder module for one module
here.
"""
