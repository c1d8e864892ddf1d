"""The corpora that ``train`` can read, by name; a new one is a file here and a line in ``READERS``.

A reader takes the folder of a corpus as its owners publish it (wav, or flac under the same stems) and returns
a :class:`Listing`. A folder with a ``manifest.csv`` is read from that instead (train/corpora/manifest.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_ser.errors import ConfigError
from train.corpora import cremad, emodb, emovo, iemocap, manifest, ravdess, savee, tess, urdu
from train.corpora.listing import Listing
from train.naming import nearest

READERS: dict[str, Callable[[Path], Listing]] = {
    "emodb": emodb.read,
    "ravdess": ravdess.read,
    "savee": savee.read,
    "cremad": cremad.read,
    "tess": tess.read,
    "iemocap": iemocap.read,
    "emovo": emovo.read,
    "urdu": urdu.read,
}


def corpora_root() -> Path:
    """The folder that holds a folder per corpus: ``$EDGE_SER_CORPORA``."""
    root = os.environ.get("EDGE_SER_CORPORA")
    if not root:
        raise ConfigError(
            "EDGE_SER_CORPORA is not set; set it to the folder that holds one folder per corpus"
        )
    return Path(root)


def read_corpus(name: str, root: Path | None = None) -> Listing:
    """Read corpus ``name`` from ROOT/NAME; paths in the result are relative to ``root``.

    Raises ConfigError when the folder is absent, or when it has no manifest.csv and no reader knows its name.
    """
    root = corpora_root() if root is None else root
    folder = root / name
    if not folder.is_dir():
        have = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        raise ConfigError(
            f"{folder}: no such corpus; there are {', '.join(have) or 'none'}{nearest(name, have)}"
        )
    if (folder / "manifest.csv").is_file():
        listing = manifest.read(folder)
    elif name in READERS:
        listing = READERS[name](folder)
    else:
        raise ConfigError(
            f"{folder}: neither a manifest.csv nor a reader of that name{nearest(name, READERS)}"
        )
    found = [replace(each, path=f"{name}/{each.path}") for each in listing.utterances]
    return Listing(found, listing.skipped)
