"""The query graph: pure functions of tracked inputs, recomputed only when what they read has changed.

    graph = Graph()
    ports: Table[str, int] = Table(graph, "ports", lambda row: {"parity": (row % 2,)})

    @query
    def doubled(db: Graph, name: str) -> int | None:
        port = ports.get(name)
        return None if port is None else 2 * port

    graph.observe(doubled, "http")
    ports.put("http", 80)
    graph.commit()      # → the observed nodes whose value changed

As in Istio's krt and Rust's salsa. See `docs/architecture.md` and `engine.py` for the rules.
"""

from weft_core.graph.engine import Failure, Graph, Node, query
from weft_core.graph.table import Table

__all__ = ["Failure", "Graph", "Node", "Table", "query"]
