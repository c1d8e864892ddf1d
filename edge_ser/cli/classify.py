"""The emotion of recordings: WAV, FLAC, OGG or MP3 of any rate and length, folders of them, or standard
input.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ser.cli.quiet import quiet_start
from edge_ser.errors import AudioError

if TYPE_CHECKING:
    from edge_ser.classifier import Classifier
    from edge_ser.prediction import Prediction

SUFFIXES = {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"}

FORMATS = ("u8", "s16le", "s24le", "s32le", "f32le", "f64le")  # the keys of pcm.SAMPLE_BYTES, without numpy


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="recording, folder of them, or - for stdin")
    parser.add_argument("--model", help="model file, or the name of an installed one")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object a line")
    form.add_argument("--csv", action="store_true", help="comma-separated values with a header")
    parser.add_argument("--segments", action="store_true", help="tell every window of long recordings")
    parser.add_argument(
        "--top", type=_count, metavar="N", help="the N best labels only (3 in text, all in JSON)"
    )
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw the probabilities over time")
    parser.add_argument("--raw", action="store_true", help="input is headerless PCM, see --rate")
    parser.add_argument("--rate", type=_count, metavar="HZ", help="sample rate of --raw")
    parser.add_argument("--channels", type=_count, default=1, metavar="N", help="channels of --raw (1)")
    parser.add_argument("--format", default="s16le", choices=FORMATS, help="samples of --raw (s16le)")
    parser.add_argument(
        "--jobs", type=_count, metavar="N", help="files at a time (as many as there are cores)"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="work on a Dask cluster, HOST:PORT of its scheduler"
    )
    parser.add_argument("--profile", metavar="FILE", help="speaker and room, from edge-ser enroll")
    parser.add_argument("--runtime", help="ai_edge_litert, tflite_runtime or tensorflow")


def run(arguments: Namespace) -> int:
    """Classify everything that was named; 1 when some of it could not be read."""
    if arguments.raw != (arguments.rate is not None):
        print("edge-ser classify: --raw and --rate go together", file=sys.stderr)
        return 2
    from edge_ser.classifier import Classifier

    if arguments.profile and arguments.cluster:
        print("edge-ser classify: --profile and --cluster do not go together", file=sys.stderr)
        return 2
    from edge_ser.cli.output import make_writer

    with quiet_start():
        classifier = Classifier(arguments.model, arguments.runtime, arguments.profile)
    files = list(expand(arguments.inputs))
    writer = make_writer(arguments, files, classifier.labels)
    failed = False
    drawn = []
    for name, result in _results(files, classifier, arguments):
        if isinstance(result, AudioError):
            sys.stdout.flush()
            print(f"edge-ser classify: {result}", file=sys.stderr)
            failed = True
            continue
        writer.write(name, result)
        if arguments.plot:
            drawn.append((name, result))
    if drawn:
        from edge_ser.cli.plot import plot

        plot(drawn, arguments.plot)
    return 1 if failed else 0


def expand(inputs: Sequence[str]) -> Iterator[str]:
    """Files as given, folders as the recordings in and below them, in the order of their names."""
    for name in inputs:
        folder = Path(name)
        if name == "-" or not folder.is_dir():
            yield name
            continue
        found = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        yield from map(str, found)
        if not found:
            yield name  # a folder without recordings is an input that fails


def _results(
    files: Sequence[str], classifier: Classifier, arguments: Namespace
) -> Iterator[tuple[str, Prediction | AudioError]]:
    """(name, Prediction or error) of each file, in order."""
    from edge_ser.audio import RawFormat

    raw = RawFormat(arguments.rate, arguments.channels, arguments.format) if arguments.raw else None
    if arguments.cluster:
        from edge_ser.cli.cluster import classify_on_cluster

        return classify_on_cluster(files, arguments.cluster, arguments.model, arguments.runtime, raw)
    from edge_ser.cli.parallel import classify_files

    return classify_files(files, arguments.jobs or len(os.sched_getaffinity(0)), classifier, raw)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
