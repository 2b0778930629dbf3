"""The one file format between stages: flat HDF5 with units, settings and a digest of the content.

Every file carries its format name and version, the settings that produced it, the digests of the files it was made
from and the digest of its own content. Reading verifies all of that, so a truncated, altered or outdated file is an
error that names the file and the command that rebuilds it, never a wrong number. `read_store` and `write_store` hold
a whole file in memory; `open_store` and `StoreWriter` go through one of any size block by block.

Uses only NumPy and h5py: the Psi4 interpreter imports it too.
"""

from psigraph.stores.content import Column, StoreError, canonical_json, content_digest, digest_of
from psigraph.stores.reader import OpenStore, Store, StoredColumn, open_store, read_store
from psigraph.stores.writer import ColumnSpec, StoreWriter, atomic_path, write_store

__all__ = [
    "Column",
    "ColumnSpec",
    "OpenStore",
    "Store",
    "StoreError",
    "StoreWriter",
    "StoredColumn",
    "atomic_path",
    "canonical_json",
    "content_digest",
    "digest_of",
    "open_store",
    "read_store",
    "write_store",
]
