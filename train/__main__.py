"""``python -m train``: fit, cross-validate, test across corpora, report."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
from pathlib import Path
from typing import Any

from edge_ser.errors import ConfigError, EdgeSerError

EPILOG = "RECIPE is a name (python -m train recipes) or a path that ends in .toml. See docs/training.md."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m train", description=__doc__, epilog=EPILOG)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="train one model", epilog=EPILOG)
    _recipe_arguments(fit)
    fit.add_argument(
        "-o", "--output", type=Path, required=True, help="the run's folder; a begun run is continued"
    )
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument(
        "--hold-out", action="append", default=[], metavar="CORPUS/SPEAKER", help="test on this speaker"
    )

    cv = commands.add_parser("cv", help="cross-validate", epilog=EPILOG)
    _recipe_arguments(cv)
    cv.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of all folds; a begun one is continued"
    )
    cv.add_argument("--seeds", type=int, nargs="+", help="instead of the recipe's own")
    cv.add_argument("--workers", type=int, default=1, help="local processes (default 1)")
    cv.add_argument(
        "--cluster", metavar="tcp://HOST:8786", help="a Dask scheduler, instead of local processes"
    )
    cv.add_argument(
        "--together",
        action="store_true",
        help="all fits at once as one program, for a GPU (KERAS_BACKEND=jax); --workers make its batches",
    )
    choose_help = (
        "SECTION.KEY=VALUE[,KEY=VALUE…]; give it once per candidate: chosen inside each fold (nested)"
    )
    cv.add_argument("--choose", action="append", default=[], metavar="OVERRIDES", help=choose_help)

    cross = commands.add_parser("cross", help="train on some corpora, test on others", epilog=EPILOG)
    _recipe_arguments(cross)
    cross.add_argument("--train", nargs="+", required=True, metavar="CORPUS")
    cross.add_argument("--test", nargs="+", required=True, metavar="CORPUS")
    cross.add_argument("-o", "--output", type=Path, required=True)
    cross.add_argument("--seed", type=int, default=0)

    report = commands.add_parser("report", help="one HTML page about runs and cross-validations")
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"))

    corpora = commands.add_parser("corpora", help="what a corpus holds, and what is left out and why")
    corpora.add_argument("names", nargs="*", metavar="CORPUS")

    results = commands.add_parser("results", help="the runs behind docs/results.md, and that page")
    results.add_argument("action", choices=["list", "run", "write"])
    results.add_argument("runs", nargs="*", metavar="ID", help="with run: which ones")
    results.add_argument("-o", "--output", type=Path, default=Path("runs/results"))
    results.add_argument("--workers", type=int, default=1)

    recipes = commands.add_parser("recipes", help="the recipes there are; with a name, the whole of it")
    recipes.add_argument("name", nargs="?")
    recipes.add_argument("--set", action="append", default=[], dest="overrides", metavar="SECTION.KEY=VALUE")
    return top


def _recipe_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", metavar="RECIPE")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.KEY=VALUE",
        help="override a value",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(given)
    command = shlex.join(["python", "-m", "train", *given])
    try:
        return int(COMMANDS[options.command](options, command))
    except EdgeSerError as error:
        print(f"train: {error}", file=sys.stderr)
        return error.exit_status


def _fit(options: argparse.Namespace, command: str) -> int:
    from train.corpora import corpora_root
    from train.naming import nearest
    from train.recipe import load_recipe
    from train.selection import select
    from train.splits import check_leaks
    from train.task import Task, run_task

    recipe = load_recipe(options.recipe, options.overrides)
    selection = select(recipe.data)
    print(selection.summary(), file=sys.stderr)
    speakers = {each.speaker_id for each in selection.utterances}
    for speaker in options.hold_out:
        if speaker not in speakers:
            raise ConfigError(f"--hold-out {speaker}: no such speaker{nearest(speaker, speakers)}")
    train = tuple(each for each in selection.utterances if each.speaker_id not in options.hold_out)
    held_out = tuple(each for each in selection.utterances if each.speaker_id in options.hold_out)
    check_leaks(train, held_out)
    task = Task(
        recipe.as_dict(), train, held_out, str(corpora_root()), str(options.output), options.seed, command
    )
    run_task(task, quiet=False)
    print(f"{options.output}/run.json")
    return 0


def _cv(options: argparse.Namespace, command: str) -> int:
    from train.corpora import corpora_root
    from train.cv import cross_validate
    from train.recipe import load_recipe
    from train.selection import select
    from train.text import figures_text

    if options.together and (options.cluster or options.choose):
        raise ConfigError("--together goes with neither --cluster nor --choose")
    overrides = list(options.overrides)
    if options.seeds:
        overrides.append(f"evaluation.seeds={options.seeds}")
    recipe = load_recipe(options.recipe, overrides)
    if options.together:
        from train.together import check

        check(recipe)
    selection = select(recipe.data)
    print(selection.summary(), file=sys.stderr)
    result = cross_validate(
        recipe,
        selection.utterances,
        corpora_root(),
        options.output,
        options.workers,
        options.cluster,
        command,
        [each.split(",") for each in options.choose],
        tell=lambda line: print(line, file=sys.stderr, flush=True),
        together=options.together,
    )
    print(figures_text(result))
    return 0


def _cross(options: argparse.Namespace, command: str) -> int:
    from train.corpora import corpora_root
    from train.cross import cross_corpus
    from train.recipe import load_recipe
    from train.text import figures_text

    recipe = load_recipe(options.recipe, options.overrides)
    result = cross_corpus(
        recipe, options.train, options.test, corpora_root(), options.output, options.seed, command
    )
    print(figures_text(result))
    return 0


def _report(options: argparse.Namespace, command: str) -> int:
    from train.backend import configure

    configure()
    from train.report import write_report

    write_report(options.runs, options.output)
    print(options.output)
    return 0


def _corpora(options: argparse.Namespace, command: str) -> int:
    from train.corpora import corpora_root, read_corpus
    from train.text import corpus_text

    names = options.names or sorted(path.name for path in corpora_root().iterdir() if path.is_dir())
    for name in names:
        try:
            print(corpus_text(name, read_corpus(name)))
        except ConfigError as error:
            if options.names:
                raise
            print(f"{name}: not a corpus of labelled speech ({error})")
    return 0


def _results(options: argparse.Namespace, command: str) -> int:
    from train.results import listed, run_results, write_results

    if options.action == "list":
        print("\n".join(listed()["runs"]))
    elif options.action == "write":
        print(write_results())
    else:
        tell = functools.partial(print, file=sys.stderr, flush=True)
        run_results(options.runs, options.output, options.workers, tell)
    return 0


def _recipes(options: argparse.Namespace, command: str) -> int:
    import json

    from train.recipe import load_recipe, recipe_names

    if options.name:
        print(
            json.dumps(load_recipe(options.name, options.overrides).as_dict(), indent=1, ensure_ascii=False)
        )
        return 0
    for name in recipe_names():
        print(f"{name:28} {load_recipe(name).description}")
    return 0


COMMANDS: dict[str, Any] = {
    "fit": _fit,
    "cv": _cv,
    "cross": _cross,
    "report": _report,
    "corpora": _corpora,
    "recipes": _recipes,
    "results": _results,
}

if __name__ == "__main__":
    sys.exit(main())
