"""Validating admission: an object with a mistake of its own is refused by kubectl, with the field and the fix.

What `weft analyze` calls an error of the object itself (an unknown field, a wrong type, fields that exclude each other)
refuses it. What depends on other objects is only a warning, whatever its severity: the order in which a folder is
applied must not matter, and what is missing now may be there in a second.
"""

from weft_operator.admission.validator import Validator, validation

__all__ = ["Validator", "validation"]
