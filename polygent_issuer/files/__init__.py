"""File input and output: `-`, bounded reads, atomic publication that never overwrites.

Publication has two steps, so that a registry can commit between them (DESIGN, "Registry and
journal"): `prepare` writes and syncs a temporary file in the target's folder, `Prepared.publish`
links it to its name. A crash leaves the temporary file, the finished file, or both, but never a
partial file under the final name.
"""

from polygent_issuer.files.disk import append_line, sweep, sync_folder
from polygent_issuer.files.publication import (
    BatchPublication,
    Prepared,
    Replacement,
    prepare,
    prepare_replacement,
    prepare_with,
    publish,
    replace,
    require_folder,
    require_free,
    set_aside,
    sweep_replacements,
    write_private,
)
from polygent_issuer.files.reading import (
    NotRegular,
    NotUtf8,
    decode,
    names_folder,
    open_file,
    open_regular,
    read_beginning,
    read_bounded,
    read_stream,
    read_text,
    read_unmarked,
    secret_warning,
    without_mark,
)
from polygent_issuer.files.within import inner_parts, read_within

__all__ = [
    "BatchPublication",
    "NotRegular",
    "NotUtf8",
    "Prepared",
    "Replacement",
    "append_line",
    "decode",
    "inner_parts",
    "names_folder",
    "open_file",
    "open_regular",
    "prepare",
    "prepare_replacement",
    "prepare_with",
    "publish",
    "read_beginning",
    "read_bounded",
    "read_stream",
    "read_text",
    "read_unmarked",
    "read_within",
    "replace",
    "require_folder",
    "require_free",
    "secret_warning",
    "set_aside",
    "sweep",
    "sweep_replacements",
    "sync_folder",
    "without_mark",
    "write_private",
]
