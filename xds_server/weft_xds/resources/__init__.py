"""The catalog: which resources a proxy gets, in shared sections, and the bytes of each.

`sections.py` says what each kind of proxy is sent, `frames.py` turns one resource's key into its bytes.
"""

from typing import Final

from weft_xds.catalog import Catalog
from weft_xds.resources.frames import MESSAGES, frame
from weft_xds.resources.keys import ResourceKey, SectionKey
from weft_xds.resources.sections import proxy_sections, section

CATALOG: Final = Catalog(proxy_sections=proxy_sections, section=section, frame=frame)
"""The catalog as the fan-out wants it."""

__all__ = ["CATALOG", "MESSAGES", "ResourceKey", "SectionKey", "frame", "proxy_sections", "section"]
