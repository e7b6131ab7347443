"""Mesh-wide settings, in pieces, so that a change of one setting disturbs only who reads it."""

from weft_core.graph import query
from weft_core.model.mesh_config import MeshConfig
from weft_core.registry import MESH, Registry

_DEFAULT = MeshConfig()


@query
def mesh(db: Registry) -> MeshConfig:
    """The whole MeshConfig; defaults where none is given."""
    return db.mesh_config.get(MESH) or _DEFAULT


@query
def root_namespace(db: Registry) -> str:
    """The namespace whose policies hold for the whole mesh."""
    return mesh(db).root_namespace


@query
def trust_domains(db: Registry) -> tuple[str, ...]:
    """The mesh's trust domain, then its aliases."""
    config = mesh(db)
    return (config.trust_domain, *config.trust_domain_aliases)
