"""JSON web key sets (RFC 7517): whether Envoy will take one.

A provider without any usable key makes Envoy refuse the whole listener. Such a set is replaced by one whose private key
nobody has, so that its tokens fail and nothing else does.
"""

import base64
import binascii
import json
from collections.abc import Mapping

NO_KEYS = (
    '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"unavailable",'
    '"x":"Hix9ardfNY-aFjzB_ZYy9fylVg40MoYtw691OZkpevA","y":"v-5ywpJ0k3tkjPiCIekS4JhGuvtO7rUT_DFlUFDsFi8"}]}'
)
"""A key set whose private key nobody has: every token fails."""
_MEMBERS = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",), "oct": ("k",)}
"""Members that hold the key itself, base64url, by key type."""


def has_usable_key(text: str) -> bool:
    """Whether at least one key of the set is of a type that Envoy knows, and complete."""
    try:
        keys = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError):
        return False
    return isinstance(keys, list) and any(_usable(key) for key in keys)


def _usable(key: object) -> bool:
    if not isinstance(key, Mapping):
        return False
    if "x5c" in key and key.get("kty") == "RSA":
        return True
    members = _MEMBERS.get(str(key.get("kty")))
    return members is not None and all(_is_base64url(key.get(member)) for member in members)


def _is_base64url(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        return bool(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    except (ValueError, binascii.Error):
        return False
