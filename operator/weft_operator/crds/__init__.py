"""The CustomResourceDefinitions of the mesh's kinds, generated from the pydantic models.

`python -m weft_operator.crds FOLDER` writes them; nobody edits them by hand. Each kind has one definition, with every
version that Weft reads, all of one schema, so that no conversion is needed. The schemas say what a structural schema
can say; what spans fields, and the words that explain a mistake, are the validating webhook's
(see `weft_operator.admission`).
"""

from weft_operator.crds.definition import definition, definitions, file_name, to_yaml

__all__ = ["definition", "definitions", "file_name", "to_yaml"]
