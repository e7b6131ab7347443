"""RequestAuthentications in force for a workload: whose tokens are verified.

All that apply are joined, issuers in alphabetical order. No policy, no filter. Tokens are verified on HTTP chains only,
where requests arrive, never where they leave. Keys are not fetched yet: a rule with `jwksUri`, or with nothing but an
issuer, refuses every token of its issuer.
"""

from weft_core.graph import query
from weft_core.ir.authn import JwtAuthn, JwtProvider
from weft_core.ir.service import Labels
from weft_core.model.request_authentication import JWTRule
from weft_core.registry import Key, Registry
from weft_core.view.key_sets import NO_KEYS, has_usable_key
from weft_core.view.policy_scope import concerns, policy_namespaces

STANDARD_LISTS = ("permission", "scope")
"""Claims that hold several values in one text, by common usage."""


@query
def jwt_authn(db: Registry, namespace: str, labels: Labels) -> JwtAuthn | None:
    """What a workload's HTTP chains verify; None where nothing is asked for."""
    keys = request_authentications_for(db, namespace, labels)
    rows = [row for key in keys if (row := db.request_authentications.get(key))]
    rules = sorted((rule for row in rows for rule in row.spec.jwt_rules), key=lambda rule: rule.issuer)
    if not rules:
        return None
    return JwtAuthn(providers=tuple(_provider(rule) for rule in rules), origins=tuple(row.meta.ref for row in rows))


@query
def request_authentications_for(db: Registry, namespace: str, labels: Labels) -> tuple[Key, ...]:
    """The policies that apply to a workload, those of the root namespace first."""
    return tuple(
        (row.meta.namespace, row.meta.name)
        for place in policy_namespaces(db, namespace)
        for row in db.request_authentications.rows("namespace", place)
        if concerns(row.spec, labels, own=place == namespace)
    )


def _provider(rule: JWTRule) -> JwtProvider:
    return JwtProvider(
        issuer=rule.issuer,
        jwks=rule.jwks if has_usable_key(rule.jwks) else NO_KEYS,
        audiences=rule.audiences,
        from_headers=tuple((header.name, header.prefix) for header in rule.from_headers),
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        forward=rule.forward_original_token,
        payload_header=rule.output_payload_to_header,
        claim_headers=tuple((each.header, each.claim) for each in rule.output_claim_to_headers),
        space_delimited_claims=tuple(sorted({*STANDARD_LISTS, *rule.space_delimited_claims})),
    )
