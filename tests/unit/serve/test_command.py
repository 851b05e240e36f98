"""`seqtune-serve`: its options, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seqtune_serve.__main__ import main
from seqtune_serve.settings import ServeSettings, parse_settings

from .toy_exports import write_export

BLOCKED = (
    *("torch", "kedro", "seqtune", "lightning", "transformers", "pandas", "pyarrow", "scipy"),
    *("mlflow", "optuna", "duckdb", "onnx", "onnxscript", "sklearn"),
)
SERVE = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None
from pathlib import Path
from seqtune_serve.__main__ import main
from seqtune_serve.app import create_app
from seqtune_serve.requests import RecommendBody
from seqtune_serve.settings import ServeSettings
from seqtune_serve.swap import load
settings = ServeSettings(Path(sys.argv[1]))
model = load(settings.folder, settings)
create_app(model, settings)
print(model.answer([RecommendBody(history=["a"], k=1).request(settings)]))
"""


def test_serving_imports_neither_torch_nor_kedro_nor_seqtune(tmp_path: Path) -> None:
    write_export(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "'item': 'd'" in result.stdout


def test_defaults_listen_on_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQTUNE_SERVE_TOKEN", "secret")
    settings = parse_settings(["exports", "--precision", "int8", "--batch-wait-ms", "1.5"])
    assert settings == ServeSettings(
        Path("exports"),
        precision="int8",
        batch_wait_ms=1.5,
        token="secret",  # noqa: S106
    )
    assert settings.host == "127.0.0.1"


def test_help_names_paths_options_and_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse_settings(["--help"])
    said = capsys.readouterr().out
    assert "POST /recommend" in said
    assert "SEQTUNE_SERVE_TOKEN" in said
    assert "most requests that are computed at once (default: 64)" in said


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--port", "0", "'0' is not a whole number from 1 on"),
        ("--port", "99999", "99999 is above 65535, the last port"),
        ("--timeout-s", "-1", "'-1' is not a number from 0 on"),
        ("--precision", "fp16", "invalid choice: 'fp16'"),
    ],
)
def test_wrong_options_are_refused(
    capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_settings(["exports", f"{option}={value}"])
    assert message in capsys.readouterr().err


def test_a_folder_without_an_export_ends_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^seqtune-serve: .* has no export; make one with"):
        main([str(tmp_path)])
