"""The Envoy bootstrap: the one part of a proxy's configuration that it does not get from the control plane.

`document.bootstrap` puts it together from typed parts and gives a plain dict, the JSON form of
`envoy.config.bootstrap.v3.Bootstrap`. No protobuf is involved: extensions that only Envoy knows can be
written as they are.
"""
