"""The mesh's certificate authority: identities, the signing root, trust bundles and where the root is kept.

Nothing here reads a clock: whoever asks for a certificate says what time it is. Import from the modules
themselves; `identity` stays free of `cryptography`, so that reading a SPIFFE id costs nothing.
"""
