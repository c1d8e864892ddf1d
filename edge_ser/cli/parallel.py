"""Many files on every core: threads, because decoding, features and interpreter all run without Python's
lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_ser.audio import RawFormat
from edge_ser.classifier import Classifier
from edge_ser.errors import AudioError
from edge_ser.prediction import Prediction

Result = tuple[str, Prediction | AudioError]
AHEAD = 4  # files a thread may be ahead of the one that is printed


def classify_files(
    files: Sequence[str], jobs: int, first: Classifier, raw: RawFormat | None
) -> Iterator[Result]:
    """(name, prediction or error) of each file, in order, ``jobs`` at a time. ``first`` serves one of the
    threads.
    """
    jobs = min(jobs, len(files))
    if jobs <= 1:
        return ((name, classify_file(first, name, raw)) for name in files)
    return _in_threads(files, jobs, first, raw)


def classify_file(classifier: Classifier, name: str, raw: RawFormat | None) -> Prediction | AudioError:
    """One file; what is wrong with it is a result, too."""
    try:
        return classifier.classify(name, raw=raw)
    except AudioError as error:
        return error


def _in_threads(
    files: Sequence[str], jobs: int, first: Classifier, raw: RawFormat | None
) -> Iterator[Result]:
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    idle = [
        first,
        *(Classifier(first.model, first.engine.runtime.name, first.profile) for _ in range(jobs - 1)),
    ]

    def work(name: str) -> Prediction | AudioError:
        classifier = idle.pop()  # there are as many as threads, and pop and append are atomic
        try:
            return classify_file(classifier, name, raw)
        finally:
            idle.append(classifier)

    pool = ThreadPoolExecutor(jobs)
    running: deque[tuple[str, Future[Prediction | AudioError]]] = deque()
    try:
        for name in files:
            running.append((name, pool.submit(work, name)))
            if len(running) > AHEAD * jobs:
                name, future = running.popleft()
                yield name, future.result()
        for name, future in running:
            yield name, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
