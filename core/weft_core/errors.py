"""Exceptions: faults of programmers and of the environment. Users' mistakes are `problems.Problem` values instead.

WeftError
├── GraphError             a query broke the graph's rules (a cycle, a write inside a query)
├── EnvironmentFault       what the machine lacks or refuses; the message says what to do
│   ├── EnvoyMissing
│   ├── PortInUse
│   └── CertificateFault
└── ProtocolFault          a peer broke the xDS protocol; the stream is closed with its reason
"""


class WeftError(Exception):
    """The root of all exceptions that Weft raises on purpose."""


class GraphError(WeftError):
    """A query broke the rules of the query graph: it read itself, or wrote while it was computed."""


class EnvironmentFault(WeftError):
    """The machine lacks or refuses something. The message names it and says what to do."""


class EnvoyMissing(EnvironmentFault):
    """No Envoy binary was found, or it does not start."""


class PortInUse(EnvironmentFault):
    """A port that must be bound belongs to another process."""


class CertificateFault(EnvironmentFault):
    """Key material cannot be read, written or does not fit together."""


class ProtocolFault(WeftError):
    """A peer broke the xDS protocol. The text goes into the stream's closing status."""
