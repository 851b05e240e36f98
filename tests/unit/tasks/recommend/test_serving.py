"""Rows in, lists out: what MLflow serves, with ids of either kind."""

import json

import numpy as np
import pytest

from seqtune import Recommender
from seqtune.core.errors import DataError
from seqtune.core.serving import Column
from seqtune.tasks.recommend.serving import open_served

from .split_folders import random_model, tiny_config, write_checkpoint, write_split

SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2]]
NAMES = ["a", "b", "<c>", "라", "e", "f"]
NUMBERS = [10, 20, 30, 40, 50, 60]


@pytest.fixture(params=[NAMES, NUMBERS], ids=["text", "numbers"])
def checkpoint(request, tmp_path):
    data = write_split(tmp_path / "split", SEQUENCES, item_ids=request.param)
    config = tiny_config()
    return write_checkpoint(tmp_path / "checkpoint", random_model(config, data), config, data)


def test_answers_are_those_of_the_recommender_in_types_that_json_knows(checkpoint):
    recommender, served = Recommender.load(checkpoint), open_served(checkpoint)
    histories = [list(recommender.ids[:2]), [], list(recommender.ids[4:])]

    # arrays are what a table of MLflow holds; None is a user of whom nothing is known
    rows = [{"items": np.array(h, dtype=object) if h else None} for h in histories]
    answers = served.answers(rows, {**served.settings, "k": 3})

    expected = recommender.recommend(histories, 3)
    assert answers == [[line._asdict() for line in lines] for lines in expected]
    assert json.loads(json.dumps(answers)) == answers


def test_what_was_seen_comes_back_where_it_is_asked_for(checkpoint):
    served = open_served(checkpoint)

    (lines,) = served.answers(served.example, {"k": 6, "exclude_seen": False})

    assert {line["item"] for line in lines} == set(Recommender.load(checkpoint).ids)


def test_columns_say_of_which_kind_ids_are(checkpoint):
    served = open_served(checkpoint)

    kind = "text" if isinstance(Recommender.load(checkpoint).ids[0], str) else "integer"
    assert served.columns == (Column("items", kind, is_list=True),)
    assert served.answer == {"item": kind, "score": "number", "source": "text"}


def test_a_single_item_is_no_history(checkpoint):
    with pytest.raises(DataError, match="items must be a list of item ids, oldest first"):
        open_served(checkpoint).answers([{"items": "a"}], {"k": 1, "exclude_seen": True})
