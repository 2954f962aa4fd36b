"""The numbers of the record format, apart from its types: loading those takes longer than many a command."""

from __future__ import annotations

import struct

FORMAT = 1

# Before each chunk of `output`: stream (1 stdout, 2 stderr), time in microseconds, length of the data that follows.
OUTPUT_HEADER = struct.Struct(">BQI")

# A pack (see Tree.packs) is a gzip stream of these headers, each followed by that many bytes: SHA-256, length.
PACK_HEADER = struct.Struct(">32sQ")

# Larger files are never put into a code tree; a pack that claims one is damaged.
MAX_PACKED_FILE = 64 << 20

# Nor does capture put more than a quarter of this into one tree: a reader need not unpack what claims to be larger.
MAX_TREE_BYTES = 1 << 30

# The note of an input whose content may be another than the one that was read.
COPIED_LATE = "it was changed while the command ran, and copied after it was opened"
