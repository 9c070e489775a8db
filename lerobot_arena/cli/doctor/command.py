# SPDX-License-Identifier: Apache-2.0
"""The `arena doctor` command."""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated

import typer

from lerobot_arena.bringup import (
    DEFAULT_ARM,
    DEFAULT_PORT,
    DEFAULT_ROBOT,
    data_folder,
    prepare_paths,
)
from lerobot_arena.cli.doctor.finding import Context, Finding, Level
from lerobot_arena.cli.doctor.table import examine
from lerobot_arena.cli.output import OUT, print_json, print_line
from lerobot_arena.cli.up import Arm, Port
from lerobot_arena.client.address import bridge_url
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.ros import dds

_MARKS = {Level.OK: "[green]ok  [/]", Level.WARN: "[yellow]warn[/]", Level.FAIL: "[bold red]fail[/]"}


def doctor(
    policy: Annotated[
        str, typer.Option(help="A checkpoint or exported folder, or `demo`, to hold against the robot.")
    ] = "",
    robot: Annotated[str, typer.Option(help="A shipped or added robot, or a .yaml file.")] = DEFAULT_ROBOT,
    arm: Arm = DEFAULT_ARM,
    port: Port = DEFAULT_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Find what is wrong on this machine, say why it matters and what to do. Moves nothing.

    Exit code 1 when something will not work. With an arena running it also measures the loss of each camera.
    """
    environment = dict(os.environ)
    prepare_paths(environment)
    with suppress(ArenaError):  # the check `dds` says it
        dds.apply_profile(environment)
    context = Context(
        environment=environment,
        data_dir=data_folder(environment),
        url=bridge_url(port=port),
        port=port,
        arm=arm,
        robot=robot,
        policy=policy,
    )
    findings = []
    for finding in examine(context):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json({"worst": worst(findings), "findings": [finding.as_json() for finding in findings]})
    else:
        print_line(f"\n{_summary(findings)}")
    raise typer.Exit(1 if worst(findings) is Level.FAIL else 0)


def worst(findings: Iterable[Finding]) -> Level:
    """The level that decides the exit code."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def _print(finding: Finding) -> None:
    OUT.print(f"{_MARKS[finding.level]} ", end="")
    print_line(f"{finding.check:<12} {finding.what}")
    if finding.level is not Level.OK:
        for label, text in (("why", finding.why), ("do", finding.remedy)):
            print_line(f"{'':<18}{label}: {text}")


def _summary(findings: Iterable[Finding]) -> str:
    found = [finding.level for finding in findings]
    failed, warned = found.count(Level.FAIL), found.count(Level.WARN)
    if failed:
        return f"{failed} thing{'s' * (failed > 1)} will not work; {warned} could be better."
    return (
        f"Everything works; {warned} thing{'s' * (warned != 1)} could be better."
        if warned
        else "Everything works."
    )
