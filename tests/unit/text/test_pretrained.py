"""Models from folders and from the hub's copies on this disk; and everything that is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from seqtune.core.errors import ConfigurationError
from seqtune.text.pretrained import (
    OTHER_FOLDERS,
    SAFE,
    WANTED,
    empty_model,
    identity,
    load_config,
    load_model,
    load_tokenizer,
    locate,
    require_match,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
Copied = Callable[[str], Path]


def fault(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def downloaded(hub: Path, name: str, model: Path, *, commit: str = COMMIT) -> Path:
    """What huggingface_hub leaves of a model: blobs, and links to them below the commit."""
    folder = hub / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for path in (snapshot, folder / "blobs", folder / "refs"):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    for number, file in enumerate(sorted(model.iterdir())):
        blob = folder / "blobs" / f"{commit[:8]}{number}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", blob.name))
    return snapshot


class TestHub:
    def test_a_name_gives_the_same_as_a_folder(self, hub: Path, models: dict[str, Path]) -> None:
        snapshot = downloaded(hub, "someone/tiny-bert", models["bert"])
        folder = locate("someone/tiny-bert")

        assert folder == snapshot
        assert identity(folder) == COMMIT
        text = "Hello world 안녕"
        ids = [load_tokenizer(path)(text)["input_ids"] for path in (folder, models["bert"])]
        assert ids[0] == ids[1]
        weights = [load_model("AutoModel", path).state_dict() for path in (folder, models["bert"])]
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])

    def test_a_process_of_its_own_finds_it_by_environment(
        self, tmp_path: Path, models: dict[str, Path]
    ) -> None:
        downloaded(tmp_path / "home" / "hub", "someone/tiny-bert", models["bert"])
        script = (
            "from seqtune.text.pretrained import *\n"
            "folder = locate('someone/tiny-bert')\n"
            "load_config(folder), load_tokenizer(folder), load_model('AutoModel', folder)\n"
            "print(identity(folder))\n"
            "print(identity(locate('someone/tiny-bert', revision=identity(folder))))\n"
        )
        completed = subprocess.run(
            [sys.executable, "-c", script],
            env={"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert completed.stdout.split() == [COMMIT, COMMIT]
        assert completed.stderr == ""

    def test_a_revision_is_taken_though_the_name_means_another_now(
        self, hub: Path, models: dict[str, Path]
    ) -> None:
        old = downloaded(hub, "someone/model", models["bert"])
        new = downloaded(hub, "someone/model", models["electra"], commit=OTHER)

        assert locate("someone/model") == new
        assert locate("someone/model", revision=COMMIT) == old

    def test_a_revision_that_is_not_here(self, hub: Path, models: dict[str, Path]) -> None:
        downloaded(hub, "someone/model", models["bert"])
        message = fault(locate, "someone/model", revision=OTHER)
        assert f"for 'someone/model' at revision {OTHER} on the Hugging Face hub" in message

    def test_pickled_weights_of_the_hub(self, hub: Path, copied: Copied) -> None:
        pickle_weights(folder := copied("bert"))
        downloaded(hub, "someone/model", folder)
        assert "pickled (pytorch_model.bin)" in fault(locate, "someone/model")
        found = locate("someone/model", allow_pickle=True)
        assert load_model("AutoModel", found, allow_pickle=True).num_parameters() > 0

    def test_a_copy_without_weights(self, hub: Path, copied: Copied) -> None:
        (folder := copied("bert")).joinpath("model.safetensors").unlink()
        downloaded(hub, "someone/model", folder)
        found = locate("someone/model")  # enough for a tokeniser, and to start from nothing
        assert len(load_tokenizer(found)) > 0
        assert "has no weights (*.safetensors). If the model has only pickled" in fault(
            load_model, "AutoModel", found
        )

    def test_no_weights_are_fetched_where_none_are_wanted(
        self, hub: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[dict[str, Any]] = []

        def fetch(name: str, **options: Any) -> str:
            asked.append(options)
            if options.get("local_files_only"):
                raise LocalEntryNotFoundError("not here yet")
            return str(downloaded(hub, name, models["bert"]))

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
        locate("someone/model", revision=COMMIT, weights=False, allow_pickle=True)
        wanted = asked[-1]["allow_patterns"]
        assert "*.json" in wanted
        assert not {"*.safetensors", "*.bin"} & set(wanted)

    def test_of_the_folders_of_a_model_only_that_of_its_pooling_is_fetched(self) -> None:
        wanted = ["config.json", "1_Pooling/config.json", "model.safetensors"]
        others = [
            "onnx/config.json",
            "1_Dense/model.safetensors",
            "2_Normalize/config.json",
            "10_a/b.json",
        ]
        found = filter_repo_objects(
            [*wanted, *others], allow_patterns=[*WANTED, SAFE], ignore_patterns=[*OTHER_FOLDERS]
        )
        assert list(found) == wanted

    def test_a_copy_without_weights_is_completed_where_they_are_wanted(
        self, hub: Path, copied: Copied, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder := copied("bert")).joinpath("model.safetensors").unlink()
        copy = downloaded(hub, "someone/model", folder)
        real, asked = huggingface_hub.snapshot_download, []

        def fetch(name: str, **options: Any) -> str:
            asked.append(options.get("local_files_only", False))
            return str(real(name, **options))

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
        assert locate("someone/model", revision=COMMIT, weights=False) == copy
        assert asked == [True]
        locate("someone/model", revision=COMMIT)
        assert asked == [True, True, False]


class TestMissing:
    def test_one_error_with_all_there_is_to_know(self, hub: Path) -> None:
        message = fault(locate, "beomi/KcELECTRA", key="classify.model.name")
        assert message == (
            "classify.model.name='beomi/KcELECTRA': there is no such model. Looked for a folder "
            f"{Path.cwd()}/beomi/KcELECTRA, then for 'beomi/KcELECTRA' on the Hugging Face hub and "
            f"its local cache {hub}: offline (HF_HUB_OFFLINE is set), and there is no local copy. "
            "Give the path of a folder that save_pretrained wrote, or download the model where "
            "there is a network and copy its folder"
        )

    def test_a_hub_that_cannot_be_reached(self, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import httpx
        from huggingface_hub import constants

        def unreachable(*_: Any, **__: Any) -> None:
            raise httpx.ConnectError("no route")

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(httpx.Client, "send", unreachable)
        assert "the hub cannot be reached, and there is no local copy" in fault(locate, "a/model")

    @pytest.mark.parametrize("name", ["/no/such/folder", "./none", "a/b/c", "~/none-of-this"])
    def test_a_path_is_not_looked_for_on_the_hub(self, hub: Path, name: str) -> None:
        assert "this is not a valid name on the hub" in fault(locate, name)

    def test_a_folder_of_that_name_without_a_model_is_not_passed_over(
        self, hub: Path, models: dict[str, Path]
    ) -> None:
        downloaded(hub, "someone/model", models["bert"])
        Path("someone/model").mkdir(parents=True)
        message = fault(locate, "someone/model")
        assert "someone/model exists, but has no config.json" in message
        Path("someone/model").rmdir()
        assert identity(locate("someone/model")) == COMMIT


class TestIdentity:
    def test_it_follows_content_and_nothing_else(
        self, models: dict[str, Path], copied: Copied
    ) -> None:
        folder = copied("bert")
        before = identity(models["bert"])
        (folder / "README.md").write_text("about it")
        (folder / ".DS_Store").write_text("x")
        assert identity(folder) == before
        assert re.fullmatch("[0-9a-f]{40}", before)
        change_config(folder, layer_norm_eps=1e-6)
        assert identity(folder) != before

    def test_a_folder_that_changed_is_refused(self, copied: Copied) -> None:
        folder = copied("bert")
        revision = identity(folder)
        assert locate(str(folder), revision=revision) == folder
        change_config(folder, layer_norm_eps=1e-6)
        message = fault(locate, str(folder), revision=revision, key="summarize.model.name")
        assert f"the folder changed since its revision {revision[:12]} was recorded" in message
        assert f"it is {identity(folder)[:12]} now" in message
        assert "set summarize.model.revision=null" in message

    def test_a_folder_called_snapshots_is_no_hub(
        self, models: dict[str, Path], copied: Copied
    ) -> None:
        folder = copied("bert")
        (folder.parent / "snapshots").mkdir()
        moved = folder.rename(folder.parent / "snapshots" / "mine")
        assert identity(moved) == identity(models["bert"])


class TestRefused:
    def test_pickled_weights_alone(self, copied: Copied) -> None:
        pickle_weights(folder := copied("electra"))
        message = fault(locate, str(folder), key="classify.model.name")
        assert (
            "its weights are pickled (pytorch_model.bin), and loading a pickle can run" in message
        )
        assert message.endswith("set classify.model.allow_pickle=true")
        found = locate(str(folder), allow_pickle=True)
        assert load_model("AutoModel", found, allow_pickle=True).num_parameters() > 0
        assert "cannot be loaded as AutoModel" in fault(load_model, "AutoModel", found)
        assert locate(str(folder), weights=False) == found

    @pytest.mark.parametrize("model_type", ["bert", "own"])
    def test_code_of_a_model_is_never_run(self, copied: Copied, model_type: str) -> None:
        folder = copied("bert")
        marker = folder / "ran"
        (folder / "own.py").write_text(
            f"open({str(marker)!r}, 'w').close()\n"
            "from transformers import BertConfig, BertModel, PreTrainedTokenizerFast\n"
            "class Config(BertConfig): pass\n"
            "class Model(BertModel): pass\n"
            "class Tokenizer(PreTrainedTokenizerFast): pass\n"
        )
        autos = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
        change_config(folder, model_type=model_type, auto_map=autos)
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        settings["auto_map"] = {"AutoTokenizer": ["own.Tokenizer", "own.Tokenizer"]}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))

        calls = [
            lambda: load_config(folder),
            lambda: load_model("AutoModel", folder),
            lambda: load_tokenizer(folder),
        ]
        for call in calls if model_type == "bert" else ():
            call()
        for call in calls[:2] if model_type == "own" else ():
            assert "the model brings code of its own, which is never run" in fault(call)
        assert not marker.exists()

    def test_an_unknown_kind(self, copied: Copied) -> None:
        change_config(folder := copied("bert"), model_type="nonesuch")
        message = fault(load_config, folder)
        assert message.startswith(f"{folder}/config.json cannot be used (")
        assert "`nonesuch`" in message
        assert "\n" not in message

    def test_a_damaged_configuration(self, copied: Copied) -> None:
        (folder := copied("bert")).joinpath("config.json").write_text('{"model_type": ')
        assert "is not a valid JSON file" in fault(load_config, folder)

    @pytest.mark.parametrize(
        "damage", [lambda raw: raw[:-100], lambda raw: b"x" * 99, lambda _: b""]
    )
    def test_damaged_weights(self, copied: Copied, damage: Callable[[bytes], bytes]) -> None:
        path = (folder := copied("bert")) / "model.safetensors"
        path.write_bytes(damage(path.read_bytes()))
        message = fault(load_model, "AutoModel", folder)
        assert message.startswith(f"{folder} cannot be loaded as AutoModel (")
        assert "copy or download it again" in message

    def test_weights_of_another_size(self, copied: Copied) -> None:
        change_config(folder := copied("bert"), intermediate_size=48)
        assert "cannot be loaded as AutoModel" in fault(load_model, "AutoModel", folder)

    def test_missing_weights_are_not_drawn_at_random(self, copied: Copied) -> None:
        change_config(folder := copied("bert"), num_hidden_layers=3)
        message = fault(load_model, "AutoModel", folder)
        assert "lacks weights of a AutoModel: encoder.layer.2.attention.output" in message
        assert "and 13 more" in message

    def test_a_caller_may_judge_missing_weights(self, copied: Copied) -> None:
        change_config(folder := copied("bert"), num_hidden_layers=3)
        _, loaded = load_model("AutoModel", folder, output_loading_info=True)
        assert len(loaded["missing_keys"]) == 16

    def test_the_wrong_kind(self, models: dict[str, Path]) -> None:
        message = fault(load_model, "AutoModelForSeq2SeqLM", models["bert"])
        assert "cannot be loaded as AutoModelForSeq2SeqLM (Unrecognized configuration" in message

    @pytest.mark.parametrize("left", [False, True])
    def test_no_tokenizer(self, copied: Copied, left: bool) -> None:
        (folder := copied("bert")).joinpath("tokenizer.json").unlink()
        if not left:
            (folder / "tokenizer_config.json").unlink()
        assert f"{folder} has no tokenizer (tokenizer.json, vocab.txt" in fault(
            load_tokenizer, folder
        )

    def test_a_damaged_tokenizer(self, copied: Copied) -> None:
        (folder := copied("bert")).joinpath("tokenizer.json").write_text("{")
        assert f"the tokenizer in {folder} cannot be loaded (" in fault(load_tokenizer, folder)


class TestMatch:
    def match(self, tokenizer: Path, config: Path) -> None:
        require_match(load_tokenizer(tokenizer), load_config(config), name="it")

    def test_what_was_saved_together(self, models: dict[str, Path]) -> None:
        for folder in models.values():
            self.match(folder, folder)

    def test_more_tokens_than_embeddings(self, models: dict[str, Path], copied: Copied) -> None:
        rows = load_config(models["bert"]).vocab_size
        change_config(folder := copied("bert"), vocab_size=rows - 1)
        message = fault(self.match, models["bert"], folder)
        assert f"with number {rows - 1}, but the model has embeddings for {rows - 1}" in message

    def test_a_special_token_that_was_added_without_an_embedding(self, copied: Copied) -> None:
        folder = copied("bert")
        tokenizer = load_tokenizer(folder)
        before = tokenizer.vocab_size
        tokenizer.add_special_tokens({"additional_special_tokens": ["[EXTRA]"]})
        tokenizer.save_pretrained(folder)
        assert load_tokenizer(folder).vocab_size == before  # which alone would look right
        assert f"has the token '[EXTRA]' with number {before}" in fault(self.match, folder, folder)

    def test_room_to_spare_is_usual(self, models: dict[str, Path], copied: Copied) -> None:
        rows = load_config(models["bert"]).vocab_size
        change_config(folder := copied("bert"), vocab_size=rows + 64)
        self.match(models["bert"], folder)

    def test_a_far_larger_model(self, models: dict[str, Path], copied: Copied) -> None:
        rows = load_config(models["bert"]).vocab_size
        change_config(folder := copied("bert"), vocab_size=3 * rows)
        assert f"has {rows} tokens, but the model has embeddings for {3 * rows}" in fault(
            self.match, models["bert"], folder
        )


def test_everything_is_silent(
    models: dict[str, Path], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for kind, auto in (("bert", "AutoModelForMaskedLM"), ("kobart", "AutoModelForSeq2SeqLM")):
        folder = models[kind]
        load_tokenizer(folder)
        if kind == "bert":  # its head is missing, of which transformers would warn at length
            load_model(auto, folder, output_loading_info=True)
        else:
            load_model(auto, folder)
        empty_model(auto, load_config(folder))
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_an_empty_model_has_the_shapes_of_the_full_one(models: dict[str, Path]) -> None:
    full = load_model("AutoModel", models["bert"]).state_dict()
    empty = empty_model("AutoModel", load_config(models["bert"])).state_dict()
    assert {key: value.shape for key, value in full.items()} == {
        key: value.shape for key, value in empty.items()
    }


def pickle_weights(folder: Path) -> None:
    """Weights as they were saved before there were safetensors."""
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    torch.save(load_file(path), folder / "pytorch_model.bin")
    path.unlink()
