# SPDX-License-Identifier: Apache-2.0
"""What the child process can be asked. Each job takes plain data and files, and answers with plain data."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.platform.catalog.adapters import UNITREE_VELOCITY
from lerobot_arena.platform.catalog.child import UNPACKED
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.catalog.limits import Limits

# Libraries, and modules that need them, are imported by the job that uses them: a child lives for one.
Files = Mapping[str, Path]


def policy(question: Mapping[str, Any], files: Files, folder: Path) -> dict[str, Any]:
    """A network with its adapter's description, and with a robot also its joints and a run."""
    from lerobot_arena.platform.catalog import onnx_file, onnx_metadata, safe_yaml, unitree_yaml

    limits = _limits(question)
    facts = onnx_file.look(files["model"], limits.onnx)
    text = question.get("config") or ""
    config = safe_yaml.load(text, "config", most_bytes=limits.config_bytes) if text.strip() else None
    is_unitree = question["adapter"] == UNITREE_VELOCITY
    if is_unitree and config is None:
        raise InvalidInput(f"{UNITREE_VELOCITY}: missing config, the text of the deploy YAML.")
    spec = unitree_yaml.read(config) if is_unitree else onnx_metadata.read(facts.metadata, config)
    spec = _fitted(files["model"], spec)
    answer: dict[str, Any] = {
        "control_spec": spec.to_json(),
        "config": config,
        "nodes": facts.nodes,
        "parameters": facts.parameters,
    }
    if "bundle" in files:
        told = robot(question, files, folder)
        answer |= {
            "robot": told["robot"],
            "run": _run(folder / UNPACKED / told["robot"]["entry"], files["model"], spec, limits),
        }
    return answer


def _fitted(model: Path, spec: ControlSpec) -> ControlSpec:
    """The spec with the names of the network's ports, after an answer from it."""
    from lerobot_arena.platform.catalog import network

    session = network.open_session(model)
    described = network.describe(session)
    spec.check_network(described.input_width, described.output_width)
    network.probe(session, described)
    return replace(spec, input_name=described.input_name, output_name=described.output_name)


def robot(question: Mapping[str, Any], files: Files, folder: Path) -> dict[str, Any]:
    """A zip, unpacked and compiled."""
    from lerobot_arena.platform.catalog import bundle, mjcf

    limits, inside = _limits(question), folder / UNPACKED
    members = bundle.unpack(files["bundle"], inside, limits.zip)
    entry = mjcf.find_entry(inside, members, question.get("entry") or None, limits.model)
    from lerobot_arena.platform.catalog import robot_model

    return {"robot": robot_model.compiled(inside, entry, limits.model).to_json(), "files": len(members)}


def scene(question: Mapping[str, Any], files: Files, _: Path) -> dict[str, Any]:
    """A GLB."""
    from lerobot_arena.platform.catalog import glb

    return {"scene": glb.check(files["glb"], _limits(question).glb).to_json()}


def onnx(question: Mapping[str, Any], files: Files, _: Path) -> dict[str, Any]:
    """A network without a description, such as a depth encoder: it is safe and loads."""
    from lerobot_arena.platform.catalog import onnx_file

    facts = onnx_file.look(files["model"], _limits(question).onnx)
    from lerobot_arena.platform.catalog import network

    network.open_session(files["model"])
    return {"nodes": facts.nodes, "parameters": facts.parameters}


def checkpoint_bundle(question: Mapping[str, Any], files: Files, folder: Path) -> dict[str, Any]:
    """A zipped LeRobot checkpoint, or ONNX export of one, described without loading its weights."""
    from lerobot_arena.platform.catalog import checkpoint

    return {"checkpoint": checkpoint.look(files["bundle"], folder / UNPACKED, _limits(question))}


def video(_: Mapping[str, Any], files: Files, folder: Path) -> dict[str, Any]:
    """An MP4 of a dataset."""
    from lerobot_arena.platform.datasets import probe

    return {"video": probe.look(files["video"])}


def contract_file(question: Mapping[str, Any], files: Files, _: Path) -> dict[str, Any]:
    """A policy.yaml, robot.yaml or scene.yaml."""
    from lerobot_arena.platform.catalog import contract

    text = files["contract"].read_bytes()
    return contract.read(text, question["name"], most_bytes=_limits(question).config_bytes).to_json()


def _run(entry: Path, model: Path, spec: ControlSpec, limits: Limits) -> dict[str, Any]:
    """The robot for some seconds on its policy, half of them standing, half with the largest command forward."""
    from lerobot_arena.platform.catalog.runner import Runner

    runner = Runner(entry, model, spec)
    if runner.body.substeps > limits.run.most_substeps:
        raise InvalidInput(
            f"One control period is {runner.body.substeps} steps of the robot's timestep; "
            f"{limits.run.most_substeps} is the limit."
        )
    ticks = max(2, round(limits.run.seconds / spec.control_dt))
    started = time.perf_counter()
    try:
        for tick in range(ticks):
            if tick == ticks // 2:
                runner.command(spec.commands["lin_vel_x"][1])
            state = runner.step()
            if time.perf_counter() - started > limits.run.wall_s:
                raise InvalidInput(f"{state.time_s:.2f} s took {limits.run.wall_s:g} s to simulate.")
    except ArenaError as error:
        raise InvalidInput(f"The {limits.run.seconds:g} s run on the robot fails: {error}") from error
    return {
        "seconds": state.time_s,
        "fell": state.fell,
        "distance_m": state.distance_m,
        "base_pos": list(state.base_pos),
        "real_time_factor": state.real_time_factor,
    }


def _limits(question: Mapping[str, Any]) -> Limits:
    return Limits.from_json(question["limits"])


JOBS: dict[str, Callable[[Mapping[str, Any], Files, Path], dict[str, Any]]] = {
    "policy": policy,
    "robot": robot,
    "scene": scene,
    "onnx": onnx,
    "contract": contract_file,
    "checkpoint": checkpoint_bundle,
    "video": video,
}
