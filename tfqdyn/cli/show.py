"""`tfqdyn show`."""

from pathlib import Path

from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag, UsageError

INSTALL = 'pip install "tfqdyn[explorer]"'


def run(given: Given) -> Outcome:
    """Serves a run's file with its figures until Ctrl-C."""
    if len(given.arguments) != 1:
        raise UsageError(f"show takes one run folder, received {len(given.arguments)}")
    serve(Path(given.arguments[0]), given["port"], given["open"])
    return Outcome()


def serve(folder: Path, port: int, opened: bool) -> None:
    """Opens a run's first file in Model Explorer, every figure on its nodes.

    Args:
        folder: of a run.
        port: of the local server; the next free one for 8080.
        opened: whether the browser is opened.

    Raises:
        ValueError: the folder holds no run with a file, or Model Explorer is not installed.
    """
    from tfqdyn.results.modelexplorer import NODE_DATA

    file = folder / "trial_0.tflite"
    missing = [path.name for path in (file, folder / NODE_DATA[0].file) if not path.is_file()]
    if missing:
        raise ValueError(
            f"expected a run folder with a .tflite file (one that `tfqdyn analyze --out=...` "
            f"wrote), but {folder} has no {' and no '.join(missing)}"
        )
    try:
        import model_explorer
    except ImportError as error:
        raise ValueError(f"show needs Google's Model Explorer ({error}): {INSTALL}") from error
    config = model_explorer.config().add_model_from_path(str(file))
    for one in NODE_DATA:
        if (folder / one.file).is_file():
            config.add_node_data_from_path(str(folder / one.file))
    model_explorer.visualize_from_config(config, port=port, no_open_in_browser=not opened)


COMMAND = Command(
    "show",
    "a run's figures on the graph of its file, in Google's Model Explorer",
    f"""
Opens the .tflite file of a run in the browser, SQNR, own SQNR, QMSE and the cause in words on every
node (the files model_explorer*.json of the folder). It runs on this machine alone, until Ctrl-C,
and needs {INSTALL}.
""",
    "tfqdyn show runs/net",
    (
        Flag("port", int, 8080, "Port of the local server; if it is taken, the next free one."),
        Flag("open", bool, True, "Open the browser."),
    ),
    run,
    arguments="RUN_DIR",
)
