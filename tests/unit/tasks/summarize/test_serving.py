"""A checkpoint or an ensemble that answers rows."""

import pytest

from seqtune.core.errors import DataError
from seqtune.tasks.summarize.serving import open_served

from .checkpoint_folders import write_ensemble


@pytest.fixture(params=["checkpoint", "ensemble"])
def served(request, three, tmp_path):
    if request.param == "checkpoint":
        return open_served(three["m3"])
    return open_served(write_ensemble(tmp_path / "e", {three["m1"]: 0.4, three["m3"]: 0.6}))


def test_a_dialogue_in_a_summary_out(served, food):
    rows = [{"dialogue": dialogue} for dialogue in food.dialogues("valid")]
    answers = served.answers(rows, served.settings)
    assert len(answers) == len(rows)
    for (line,) in answers:
        assert set(line) == set(served.answer) == {"summary"}
        assert isinstance(line["summary"], str)
    assert any(line["summary"] for (line,) in answers)
    assert [(column.name, column.kind) for column in served.columns] == [("dialogue", "text")]


def test_the_example_can_be_answered(served):
    assert len(served.answers(served.example, {})) == 1


@pytest.mark.parametrize("row", [{}, {"dialogue": None}, {"dialogue": " "}, {"dialogue": 3}])
def test_what_is_no_dialogue_is_refused(served, row):
    with pytest.raises(DataError, match="dialogue must be a text that says something, not"):
        served.answers([row], {})
