"""Builders: the intermediate form as Envoy's messages. Pure functions, one module for one feature.

They see `weft_core.ir`, `weft_core.names` and protobuf, nothing else. Equal input gives equal bytes.
"""
