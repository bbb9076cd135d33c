"""Folder: where Interlock keeps its files."""

import os
from pathlib import Path


def data_folder() -> Path:
    """Where Interlock keeps its files: INTERLOCK_DATA, else the user's data folder. It is made when missing."""
    from platformdirs import user_data_path

    folder = Path(os.environ.get("INTERLOCK_DATA") or user_data_path("interlock"))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
