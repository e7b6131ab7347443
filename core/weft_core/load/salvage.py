"""What can still be made out of a document that is not YAML: whether it was a security policy, and where it belonged.

A file with a slip of indentation in it is the commonest mistake of all, and must not take a policy's protection away
unseen. No parser helps here, so this looks for the words: kind, namespace and name, in block style, flow style or JSON.
Its selector is not looked for, so that the guard is about the whole namespace.
"""

import re
from collections.abc import Iterator

from weft_core.model.guard import PROTECTIVE_KINDS, Guard
from weft_core.problems import ObjectRef


def _field(name: str, value: str) -> re.Pattern[str]:
    """A field with its value on the same line. The colon may be what is missing; comments don't count."""
    return re.compile(rf"""^(?![ \t]*\#)(?:.*[{{,\s])?["']?{name}["']?(?:[ \t]*:[ \t]*|[ \t]+)["']?({value})\b""", re.M)


_KIND = _field("kind", "|".join(PROTECTIVE_KINDS))
_NAMESPACE = _field("namespace", "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_NAME = _field("name", "[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?")


def salvaged(text: str, default_namespace: str) -> Iterator[Guard]:
    """The guards of the security policies that an unreadable text seems to hold."""
    name = _NAME.search(text)
    for kind in dict.fromkeys(_KIND.findall(text)):
        for namespace in dict.fromkeys(_NAMESPACE.findall(text)) or (default_namespace,):
            yield Guard(ref=ObjectRef(kind=kind, namespace=namespace, name=name[1] if name else ""))
