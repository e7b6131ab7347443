"""Mesh-wide settings, in pieces, so that a change of one setting disturbs only who reads it."""

from datetime import timedelta

from weft_core.graph import query
from weft_core.ir.listener import DETECTION_TIMEOUT
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.proxy_config import Topology
from weft_core.registry import MESH, Registry

_DEFAULT = MeshConfig()
_NOTHING_IN_FRONT = Topology()


@query
def mesh(db: Registry) -> MeshConfig:
    """The whole MeshConfig; defaults where none is given."""
    return db.mesh_config.get(MESH) or _DEFAULT


@query
def root_namespace(db: Registry) -> str:
    """The namespace whose policies hold for the whole mesh."""
    return mesh(db).root_namespace


@query
def detection_timeout(db: Registry) -> timedelta:
    """How long listeners wait for the first bytes of a connection whose protocol nobody names; 0: for ever."""
    wanted = mesh(db).protocol_detection_timeout
    return DETECTION_TIMEOUT if wanted is None else wanted


@query
def gateway_topology(db: Registry) -> Topology:
    """What stands in front of gateways."""
    return mesh(db).default_config.gateway_topology or _NOTHING_IN_FRONT


@query
def trust_domains(db: Registry) -> tuple[str, ...]:
    """The mesh's trust domain, then its aliases."""
    config = mesh(db)
    return (config.trust_domain, *config.trust_domain_aliases)
