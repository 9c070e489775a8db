# SPDX-License-Identifier: Apache-2.0
"""`arena export`: a LeRobot checkpoint as ONNX, proven against the original."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lerobot_arena.cli.output import ERR, print_json, print_line
from lerobot_arena.core.errors import InvalidInput


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder with config.json and model.safetensors.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: CHECKPOINT's name with _onnx.")
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="Local LeRobotDataset: its frames check the export and calibrate int8."),
    ] = None,
    frames: Annotated[
        int, typer.Option(min=8, max=1024, help="Frames taken from the dataset, evenly spread.")
    ] = 64,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise too, calibrated on the dataset's frames; for CPUs.")
    ] = False,
    resize: Annotated[
        list[str] | None,
        typer.Option(help="camera=HEIGHTxWIDTH of the frames it will get, a multiple of the trained size."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0.0, help="Largest allowed error, as a share of a joint's spread in training."),
    ] = 1e-4,
    int8_tolerance: Annotated[float, typer.Option(min=0.0, help="The same after quantising.")] = 0.25,
    samples: Annotated[int, typer.Option(min=20, help="Random inputs compared.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Export a checkpoint to ONNX and compare both on random and recorded inputs. Refused when they differ.

    The folder can be used as a session's policy without torch. Example: arena export outputs/act/pretrained_model
    """
    if not checkpoint.is_dir():
        raise InvalidInput(f"There is no checkpoint folder {checkpoint}.")
    if int8 and dataset is None:
        raise InvalidInput(
            "--int8 is calibrated on real frames: name a LeRobotDataset folder with --dataset."
        )
    from lerobot_arena.inference.export import export_checkpoint

    target = out or checkpoint.absolute().with_name(checkpoint.absolute().name + "_onnx")
    recorded = list(recorded_observations(dataset, frames)) if dataset is not None else None
    with ERR.status("exporting") as status:
        report = export_checkpoint(
            checkpoint,
            target,
            resize=dict(parse_resize(text) for text in resize or ()),
            calibration=recorded if int8 else None,
            int8=int8,
            tolerance=tolerance,
            int8_tolerance=int8_tolerance,
            samples=samples,
            recorded=recorded,
            report=lambda text: status.update(text),
        )
    if as_json:
        print_json({**asdict(report), "folder": str(report.folder)})
    else:
        print_report(report)


def parse_resize(text: str) -> tuple[str, tuple[int, int]]:
    """`front=480x640` as (camera, (height, width)). Raises InvalidInput."""
    name, _, size = text.partition("=")
    height, _, width = size.partition("x")
    if not (name and height.isdigit() and width.isdigit()):
        raise InvalidInput(f"{text!r} is not a frame size: write camera=HEIGHTxWIDTH, as front=480x640.")
    return name, (int(height), int(width))


def recorded_observations(folder: Path, count: int) -> Iterator[Mapping[str, Any]]:
    """`count` frames spread over a local dataset, by LeRobot's feature keys: uint8 H×W×3 images, float vectors.

    Raises InvalidInput when there is no dataset or no LeRobot.
    """
    if not (folder / "meta" / "info.json").is_file():
        raise InvalidInput(f"{folder} is no LeRobotDataset: it has no meta/info.json.")
    try:
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
    except ImportError as error:
        raise InvalidInput(
            f"LeRobot is needed to read it: pip install 'lerobot_arena[lerobot]' ({error})."
        ) from error
    import numpy as np

    data = LeRobotDataset(folder.name, root=folder)
    for index in np.linspace(0, len(data) - 1, min(count, len(data))).astype(int):
        item = data[int(index)]
        yield {
            key: _as_frame(value.numpy()) if key.startswith("observation.images") else value.numpy()
            for key, value in item.items()
            if key.startswith("observation.")
        }


def _as_frame(pixels: Any) -> Any:
    """LeRobot's float C×H×W in 0..1 as uint8 H×W×C."""
    return (pixels.transpose(1, 2, 0) * 255.0).round().clip(0, 255).astype("uint8")


def print_report(report: Any) -> None:
    """The parity report for a person."""
    print_line(f"{report.folder}: {report.policy_type}, {report.precision}, {report.size_bytes / 1e6:.1f} MB")
    for name, parity in (("float32", report.float32), ("int8", report.int8)):
        if parity is not None:
            print_line(
                f"  {name}: largest error {parity.max_error:.2g} in joint units, {parity.scaled_error:.2g} of the "
                f"spread of {parity.worst_joint} ({parity.random_inputs} random, {parity.recorded_inputs} recorded)"
            )
    print_line(f"  one call: torch {report.torch_ms:.1f} ms, ONNX Runtime {report.onnx_ms:.1f} ms")
