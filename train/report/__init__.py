"""One self-contained HTML page about runs and cross-validations, and its figures as PNG files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from train.atomic import write_text
from train.report.page import page
from train.report.subject import load_subject


def write_report(folders: Sequence[Path], output: Path) -> None:
    """Write ``output`` (HTML) about the runs or cross-validations in ``folders``, and PNGs into OUTPUT's stem
    + "-png".

    Raises ConfigError for a folder that is neither.
    """
    subjects = [load_subject(folder) for folder in folders]
    pngs = output.with_name(f"{output.stem}-png")
    pngs.mkdir(parents=True, exist_ok=True)
    write_text(output, page(subjects, pngs))
