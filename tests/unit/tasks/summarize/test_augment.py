"""Further dialogues by real models: a tiny KoBART, with its ids and its tokeniser."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.errors import ConfigurationError
from seqtune.core.task import Report
from seqtune.tasks.summarize import augment as rewriting
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.ingest import ingest
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.tasks.summarize.split import split
from seqtune.text.pretrained import identity
from tiny_models import make_kobart, make_llama

LINES = [f"#Person1#: 오늘 {n}번 만나요?\n#Person2#: 네, Mr. Kim." for n in range(20)]


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_kobart(tmp_path_factory.mktemp("models") / "bart", LINES)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_kobart(tmp_path_factory.mktemp("models") / "other", LINES, seed=1)


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dialogues")
    rows = [
        {"fname": f"d{n}", "dialogue": line, "summary": f"{n}번."} for n, line in enumerate(LINES)
    ]
    path = folder / "raw.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    out = folder / "out"
    out.mkdir()
    ingest({"dialogues": (path,)}, SummarizeConfig(), out=out)
    return out


def run(dialogues: Path, out: Path, **settings: Any) -> tuple[SummarizeData, Report]:
    out.mkdir()
    report = split(dialogues, SummarizeConfig.model_validate({"split": settings}), out=out)
    assert json.loads(json.dumps(report)) == report
    return SummarizeData.open(out), report


def test_paraphrases_for_a_share_of_train(
    dialogues: Path, bart: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plainly, _ = run(dialogues, tmp_path / "plain")
    settings = {"augmentation": "paraphrase", "paraphrase_model": str(bart), "augment_share": 0.5}
    with caplog.at_level(logging.INFO, logger="seqtune.tasks.summarize.augment"):
        data, report = run(dialogues, tmp_path / "split", **settings)
    facts = data.manifest.facts["augmentation"][0]
    assert facts["rows"] + facts["unchanged"] == 8  # half of 16
    assert facts["models"] == {str(bart): identity(bart)}
    assert report["augmented_rows"] == facts["rows"] > 0
    assert data.manifest.facts["fit_rows"] == 16
    for part in ("valid", "test"):
        assert data.dialogues(part) == plainly.dialogues(part)  # type: ignore[arg-type]
    made = [row for row in data.table("train").to_pylist() if row["augmented"] == "paraphrase"]
    assert len(made) == report["augmented_rows"]
    own = {row["row"]: row for row in plainly.table("train").to_pylist()}
    for row in made:
        before = own[row["row"]]
        assert row["id"] == f"{before['id']}~paraphrase"
        assert row["summaries"] == before["summaries"]
        assert row["dialogue"] != before["dialogue"]
        assert [line.split(":")[0] for line in row["dialogue"].split("\n")] == [
            "#Person1#",
            "#Person2#",
        ]
    assert any("paraphrase by" in record.message for record in caplog.records)
    assert any("dialogues made up for train" in line for line in report["headline"])


def test_both_kinds_and_the_same_bytes_again(
    dialogues: Path, bart: Path, other: Path, tmp_path: Path
) -> None:
    settings = {
        "augmentation": "both",
        "paraphrase_model": str(bart),
        "forward_model": str(other),
        "backward_model": str(bart),
        "augment_share": 0.2,
    }
    found = [run(dialogues, tmp_path / str(n), **settings)[0] for n in range(2)]
    assert found[0].content_hash == found[1].content_hash
    kinds = [one["kind"] for one in found[0].manifest.facts["augmentation"]]
    assert kinds == ["paraphrase", "backtranslation"]
    ids = found[0].ids("train")
    assert len(set(ids)) == len(ids)
    of_rows = found[0].table("train")["augmented"].to_pylist()
    assert of_rows == sorted(of_rows, key=["", *kinds].index)
    assert [name.partition("~")[2] for name in ids] == of_rows
    assert list(found[0].made_up) == kinds
    for taken in ("none", "paraphrase", "backtranslation", "both"):
        wanted = {"", *(kinds if taken == "both" else [taken])}
        assert len(found[0].dialogues("train", augmentation=taken)) == sum(
            kind in wanted for kind in of_rows
        )


def test_dialogues_that_come_back_are_left_out(
    dialogues: Path, bart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "_batch", lambda lines, *_: [line.upper() for line in lines])
    data, report = run(
        dialogues, tmp_path / "split", augmentation="paraphrase", paraphrase_model=str(bart)
    )
    assert report["augmented_rows"] == 0
    assert data.manifest.rows["train"] == 16
    assert (
        "paraphrase: 0 dialogues made up for train, 8 came back as they were"
        in (report["headline"])
    )


def test_a_missing_model_is_told_before_anything_is_written(
    dialogues: Path, bart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    missing = str(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"split\.backward_model=.*no such model"):
        run(
            dialogues,
            tmp_path / "split",
            augmentation="backtranslation",
            forward_model=str(bart),
            backward_model=missing,
        )
    assert not list((tmp_path / "split").iterdir())


def test_a_model_that_only_goes_on_writing(dialogues: Path, tmp_path: Path) -> None:
    llama = make_llama(tmp_path / "llama", LINES)
    with pytest.raises(ConfigurationError, match=r"paraphrase_model=.*is no encoder-decoder"):
        run(dialogues, tmp_path / "split", augmentation="paraphrase", paraphrase_model=str(llama))
    assert not list((tmp_path / "split").iterdir())


@pytest.mark.parametrize(
    ("line", "who", "said"),
    [
        ("#Person1#: Hi: there", "#Person1#: ", "Hi: there"),
        ("Mr. Kim : 네", "Mr. Kim : ", "네"),
        ("no speaker here", "", "no speaker here"),
        ("", "", ""),
        ("12:30 is fine", "", "12:30 is fine"),
    ],
)
def test_who_speaks_is_kept(line: str, who: str, said: str) -> None:
    assert rewriting._split_turn(line) == (who, said)
