"""What ends up in log lines and tracebacks holds no key."""

from weft_core.model.kubernetes import ObjectMeta, Secret
from weft_xds.server import TlsMaterial


def test_a_secret_says_which_keys_it_has_and_not_what_is_in_them() -> None:
    meta = ObjectMeta(name="edge", namespace="shop")
    secret = Secret(metadata=meta, type="kubernetes.io/tls", data={"tls.key": "S0VZ"}, string_data={"ca.crt": "ROOT"})
    assert repr(secret) == "Secret(shop/edge, type='kubernetes.io/tls', keys=['ca.crt', 'tls.key'])"
    assert repr(Secret(metadata=meta)) == "Secret(shop/edge, type='Opaque', keys=[])"


def test_the_servers_key_material_shows_no_key() -> None:
    shown = repr(TlsMaterial(certificate_chain=b"chain", private_key=b"hidden", client_roots=b"roots"))
    assert "chain" in shown
    assert "hidden" not in shown
