# SPDX-License-Identifier: Apache-2.0
"""`arena validate` and `arena publish`: folders with policy.yaml, robot.yaml or scene.yaml, and checkpoints."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lerobot_arena.cli.group import USAGE
from lerobot_arena.cli.output import ERR, print_json, print_line, print_table
from lerobot_arena.cli.session import AsJson, Url
from lerobot_arena.client.address import url_of
from lerobot_arena.client.arena import Arena
from lerobot_arena.client.form import Sent
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import checkpoint, contract
from lerobot_arena.platform.catalog.checks import Checks
from lerobot_arena.platform.catalog.contract import ContractFile, PolicyFile, RobotFile, SceneFile
from lerobot_arena.platform.catalog.validate import (
    Finding,
    Level,
    bundle_of,
    config_text,
    inside,
    is_publishable,
    validate_folder,
)

# What is needed by the others comes first.
_ORDER = (RobotFile.kind, SceneFile.kind, PolicyFile.kind)
_COLOURS = {Level.OK: "ok", Level.WARNING: "warning", Level.ERROR: "ERROR"}
Places = Annotated[
    list[Path], typer.Argument(metavar="FOLDER|FILE…", help="Folders with such files, or the files.")
]


def validate(
    places: Places,
    robot: Annotated[
        Path | None,
        typer.Option(help="Folder of a robot to run a policy on, when there is none beside the policy."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check policies, robots and scenes as a server checks an upload: compile, load, run for two seconds.

    Exit code 2 when something could not be published. Example: arena validate cart/ --robot pony/
    """
    found = [(str(folder), finding) for folder in folders_of(places) for finding in _checked(folder, robot)]
    findings = [finding for _, finding in found]
    if as_json:
        print_json(
            {
                "ok": is_publishable(findings),
                "findings": [{"folder": folder, **finding.as_json()} for folder, finding in found],
            }
        )
    else:
        rows = [
            [_COLOURS[finding.level], f"{folder}/{finding.file}", finding.what] for folder, finding in found
        ]
        print_table(["", "file", "finding"], rows)
    if not is_publishable(findings):
        raise typer.Exit(USAGE)


def _checked(folder: Path, robot: Path | None) -> list[Finding]:
    try:
        return validate_folder(folder, robot=robot)
    except InvalidInput as error:
        return [Finding(".", Level.ERROR, str(error))]


def folders_of(places: list[Path]) -> list[Path]:
    """Each folder once; of a file, the folder it is in. Raises InvalidInput for what is neither."""
    found: dict[Path, None] = {}
    for place in places:
        if place.is_file() and place.name not in contract.FILE_NAMES:
            raise InvalidInput(f"{place} is none of {', '.join(contract.FILE_NAMES)}.")
        if not place.exists():
            raise InvalidInput(f"There is no {place}.")
        found[place.parent if place.is_file() else place] = None
    return list(found)


def publish(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder with policy.yaml, robot.yaml or scene.yaml; or one of these files; or a folder with a "
            "LeRobot checkpoint or what `arena export` wrote."
        ),
    ],
    slug: Annotated[
        str | None, typer.Option(help="What a checkpoint is called: sessions name it catalog:you/SLUG.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="A checkpoint's title.", show_default="its slug")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Send a policy, robot, scene or checkpoint to a bridge and print how it runs. Log in first: `arena login`.

    A robot's folder and a checkpoint's are zipped. What a folder has is sent robot, scene, policy, so that they may
    name each other. Examples: arena publish cart/ --url https://robots.example;
    arena publish outputs/pick/pretrained_model --slug pick
    """
    (place,) = folders_of([folder])
    names = [folder.name] if folder.is_file() else list(contract.FILE_NAMES)
    files = sorted(_read(place, names), key=lambda said: _ORDER.index(said.kind))
    if files and (slug or title):
        raise InvalidInput(f"--slug and --title are for checkpoints: {place} has files that say them.")
    if not files and not slug:
        raise InvalidInput(
            f"There is no {', '.join(contract.FILE_NAMES)} in {place}. If it is a checkpoint, say --slug NAME."
        )
    with Arena(url) as arena, tempfile.TemporaryDirectory(prefix="arena-publish-") as work:
        done = [_sent(arena, said, place.resolve(), Path(work), is_quiet=as_json) for said in files]
        if slug and not files:
            done.append(_checkpoint_sent(arena, place, Path(work), slug, title or slug, is_quiet=as_json))
    if as_json:
        print_json(done)


def _sent(arena: Arena, said: ContractFile, folder: Path, work: Path, *, is_quiet: bool) -> dict[str, Any]:
    with _progress(f"{said.kind} {said.slug}", is_quiet=is_quiet) as on_progress:
        manifest = _send(arena, said, folder, work, on_progress)
    run = url_of(arena.url, f"/{manifest['ref']}")
    if not is_quiet:
        print_line(f"{manifest['kind']} {manifest['ref']} version {manifest['version']}: {run}")
    return {"url": run, **manifest}


def _checkpoint_sent(
    arena: Arena, folder: Path, work: Path, slug: str, title: str, *, is_quiet: bool
) -> dict[str, Any]:
    archive = work / "checkpoint.zip"
    checkpoint.pack(folder, archive)
    with _progress(f"checkpoint {slug}", is_quiet=is_quiet) as on_progress:
        found = arena.publish.checkpoint(archive, slug=slug, title=title, on_progress=on_progress)
    manifest: dict[str, Any] = dict(found)
    policy = f"catalog:{manifest['ref']}@{manifest['version']}"
    if not is_quiet:
        print_line(f"checkpoint {manifest['ref']} version {manifest['version']}: --policy {policy}")
    return {"policy": policy, **manifest}


def _read(folder: Path, names: list[str]) -> list[ContractFile]:
    checks = Checks()
    return [checks.contract(folder / name) for name in names if (folder / name).is_file()]


def _send(arena: Arena, said: ContractFile, folder: Path, work: Path, on_progress: Sent) -> dict[str, Any]:
    common: dict[str, Any] = {
        "slug": said.slug,
        "title": said.title,
        "description": said.description or None,
        "owner": said.owner,
        "on_progress": on_progress,
    }
    found: Any
    if isinstance(said, RobotFile):
        packed = bundle_of(folder, said, work)
        found = arena.publish.robot(
            packed.archive, robot_key=said.robot_key, entry_xml=said.entry_xml, **common
        )
    elif isinstance(said, SceneFile):
        found = arena.publish.scene(
            inside(folder, said.glb),
            preview=inside(folder, said.preview) if said.preview else None,
            benchmark_scene=said.benchmark_scene,
            transform=asdict(said.transform),
            **common,
        )
    else:
        found = arena.publish.policy(
            inside(folder, said.model),
            runtime_adapter=said.runtime_adapter,
            default_robot=said.default_robot,
            default_scene=said.default_scene,
            config=config_text(folder, said) or None,
            depth_model=inside(folder, said.depth_model) if said.depth_model else None,
            **common,
        )
    return dict(found)


@contextmanager
def _progress(what: str, *, is_quiet: bool) -> Iterator[Sent]:
    """A bar on stderr, where that is a terminal; after the last byte the server checks what it got."""
    if is_quiet or not ERR.is_terminal:
        yield lambda count, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def on_progress(count: int, total: int) -> None:
            text = f"{what}: the server checks it" if count >= total else what
            bar.update(task, completed=count, total=total, description=text)

        yield on_progress
