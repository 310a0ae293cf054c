"""Files in and out: `-`, bounded reads, publication that is whole or absent and never overwrites.

Publishing is two steps, so that a registry can commit between them (DESIGN, "Registry and
journal"): `prepare` writes and syncs a temporary file beside the target, `Prepared.publish` links
it to its name. A crash leaves the temporary file, the finished one, or both; never half a file.
"""

from polygent_issuer.files.appending import append_line
from polygent_issuer.files.disk import sweep, sync_folder
from polygent_issuer.files.publication import (
    Prepared,
    prepare,
    prepare_with,
    publish,
    replace,
    set_aside,
    write_private,
)
from polygent_issuer.files.reading import read_beginning, read_bounded
from polygent_issuer.files.together import Together, Unpublished
from polygent_issuer.files.within import inner_parts, read_within

__all__ = [
    "Prepared",
    "Together",
    "Unpublished",
    "append_line",
    "inner_parts",
    "prepare",
    "prepare_with",
    "publish",
    "read_beginning",
    "read_bounded",
    "read_within",
    "replace",
    "set_aside",
    "sweep",
    "sync_folder",
    "write_private",
]
