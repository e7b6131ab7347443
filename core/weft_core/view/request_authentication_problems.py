"""What is wrong with a RequestAuthentication: rules whose tokens can't be verified, and so are all refused."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.model.meta import Config
from weft_core.model.mistake import Path, format_path
from weft_core.model.request_authentication import RequestAuthentication
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.key_sets import has_usable_key
from weft_core.view.policy_scope import targets

Row = Config[RequestAuthentication]


@query
def request_authentication_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one policy."""
    row = db.request_authentications.get(key)
    return (*_keys(row), *_targets(row)) if row else ()


def _error(row: Row, path: Path, *, code: str, message: str, fix: str) -> Problem:
    return Problem(
        code=code,
        severity=Severity.ERROR,
        object=row.meta.ref,
        path=format_path(("spec", *path)),
        message=message,
        fix=fix,
        source=row.meta.source,
    )


def _keys(row: Row) -> Iterator[Problem]:
    for index, rule in enumerate(row.spec.jwt_rules):
        if rule.jwks:
            if not has_usable_key(rule.jwks):
                yield _error(
                    row,
                    ("jwtRules", index, "jwks"),
                    code=Code.SCHEMA_VALIDATION_ERROR,
                    message=f"no key of it is complete: all tokens of {rule.issuer} are refused",
                    fix="write a key set with at least one RSA, EC, OKP or oct key",
                )
            continue
        yield _error(
            row,
            ("jwtRules", index, "jwksUri" if rule.jwks_uri else "issuer"),
            code=Code.UNSUPPORTED_FIELD,
            message=f"keys are not fetched yet: all tokens of {rule.issuer} are refused",
            fix="write the key set into jwks",
        )


def _targets(row: Row) -> Iterator[Problem]:
    for index, target in enumerate(targets(row.spec)):
        if target.kind != "Gateway":
            yield _error(
                row,
                ("targetRefs", index) if row.spec.target_refs else ("targetRef",),
                code=Code.UNSUPPORTED_FIELD,
                message=f"policies attached to a {target.kind} are not in force: no token is verified by this one",
                fix="select the workloads by selector.matchLabels",
            )
