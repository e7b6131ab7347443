"""The mesh's pure core: models, registry, query graph, views and the intermediate form."""
