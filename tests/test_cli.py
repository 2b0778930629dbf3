"""The command line: help, version, configuration checks, and one clear message for each error."""

import json
from pathlib import Path

import pytest

from psigraph import __version__
from psigraph.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Return the exit code and everything the command wrote."""
    try:
        code = main(list(arguments))
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"psigraph {__version__}\n")


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "predict", "--help")
    assert code == 0
    assert "psigraph predict --checkpoint" in text and "*.pt dimer.xyz" in text


@pytest.mark.parametrize("arguments", [["a.pt"], ["a.pt", "b.pt"]])
def test_predict_without_an_input_says_what_it_needs(
    arguments: list[str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert run(capsys, "predict", "--checkpoint", *arguments)[0] == 1
    assert "predict needs checkpoints and an input, for example: --checkpoint a.pt b.pt dimer.xyz" in caplog.text


def test_without_a_command_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys)
    assert code != 0 and "COMMAND" in text


def test_config_check_accepts_the_default(
    repository: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        code, _ = run(capsys, "config", "check", str(repository / "config.yaml"))
    assert code == 0 and "config.yaml: valid; 4 datasets, 5 experiments, 42 runs" in caplog.text


def test_config_check_names_file_key_and_suggestion(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text((repository / "config.yaml").read_text().replace("cutoff:", "cutof:"))
    code, _ = run(capsys, "config", "check", str(path))
    assert code == 1
    assert str(path) in caplog.text and "(did you mean 'cutoff'?)" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("action", "example"),
    [("estimate", "psigraph quantum estimate --cores 8"), ("inspect", "psigraph quantum inspect results/quantum/")],
)
def test_help_of_quantum_shows_an_example(action: str, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "quantum", action, "--help")
    assert code == 0 and example in text


def test_quantum_without_an_action_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "quantum")
    assert code != 0 and "ACTION" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["estimate"], "config.yaml: no such file"),
        (
            ["estimate", "--configfile", "{repository}/config.yaml", "--dataset", "dimers"],
            "no dataset 'dimers' (did you",
        ),
        (
            ["estimate", "--configfile", "{repository}/config.yaml"],
            "make it with: snakemake --cores 1 results/structures/",
        ),
        (["inspect", "missing.h5"], "missing.h5: no such file"),
    ],
)
def test_quantum_fails_with_one_line(
    arguments: list[str],
    message: str,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _ = run(capsys, "quantum", *(word.replace("{repository}", str(repository)) for word in arguments))
    assert code == 1 and message in caplog.text and "Traceback" not in caplog.text
    assert not list(tmp_path.iterdir())


def test_config_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "config", "schema")
    assert code == 0
    assert set(json.loads(text)["properties"]) >= {"datasets", "levels", "graphsets", "experiments"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "missing.pt"], "missing.pt: no such checkpoint"),
        (["--checkpoint", "missing.pt", "--threads", "0"], "--threads must be at least 1, got 0"),
    ],
)
def test_predict_fails_with_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _ = run(capsys, "predict", *arguments, "--output", "out.csv", "dimer.xyz")
    assert code == 1
    assert message in caplog.text and "Traceback" not in caplog.text
    assert not list(tmp_path.iterdir())
