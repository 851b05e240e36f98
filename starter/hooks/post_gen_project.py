"""Complete a new project: files from the clone, without the tasks it does not need."""

from __future__ import annotations

import shutil
from pathlib import Path

CLONE = Path(r"{{ cookiecutter._repo_dir }}").resolve().parent
TASK = "{{ cookiecutter.task }}"
FILES = ("Makefile", "LICENSE", "pyproject.toml", "requirements.lock", ".gitignore")
FOLDERS = (
    "src/seqtune",
    "src/seqtune_serve",
    "conf/base",
    "conf/sample",
    "conf/cluster",
    "docs/guide",
)
IGNORED = shutil.ignore_patterns("__pycache__", "*credentials*")


def main() -> None:
    project = Path.cwd()
    for name in FILES:
        shutil.copy(CLONE / name, project / name)
    for name in FOLDERS:
        shutil.copytree(CLONE / name, project / name, ignore=IGNORED)
    for file in (
        *CLONE.glob("conf/*.*"),
        *CLONE.glob("conf/local/.gitkeep"),
        *CLONE.glob("data/*/.gitkeep"),
    ):
        target = project / file.relative_to(CLONE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    if TASK in ("recommend", "all"):  # the notebooks read its data
        shutil.copytree(CLONE / "notebooks", project / "notebooks", ignore=IGNORED)
    if TASK != "all":
        leave_out_other_tasks(project)
    settings = project / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    named = text.replace(
        'project_name = "seqtune"', 'project_name = "{{ cookiecutter.project_name }}"'
    )
    settings.write_text(named, encoding="utf-8")


def leave_out_other_tasks(project: Path) -> None:
    for folder in (project / "src/seqtune/tasks").iterdir():
        if folder.is_dir() and folder.name != TASK:
            shutil.rmtree(folder)
            for kind in ("catalog", "parameters"):
                for file in project.glob(f"conf/*/{kind}_{folder.name}*.yml"):
                    file.unlink()


main()
