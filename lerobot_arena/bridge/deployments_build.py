# SPDX-License-Identifier: Apache-2.0
"""The deployments' parts, wired together: which runtime each kind has here, and what may be deployed on it."""

from functools import partial

from lerobot_arena.bridge.published import Published
from lerobot_arena.bridge.robot_runtime import RobotRuntime
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.platform.catalog import refs
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY
from lerobot_arena.platform.deployments.browser_runtime import BrowserRuntime
from lerobot_arena.platform.deployments.deployment import BROWSER, MUJOCO, PI0, ROBOT, RUNS
from lerobot_arena.platform.deployments.fleet import Fleet
from lerobot_arena.platform.deployments.mujoco_runtime import MujocoRuntime
from lerobot_arena.platform.deployments.runtimes import Runtime, load_runtimes
from lerobot_arena.platform.deployments.service import Deployments
from lerobot_arena.platform.deployments.vla_runtime import VlaRuntime


def build_deployments(
    published: Published, clock: Clock, robot: RobotRuntime, settings: Settings
) -> Deployments:
    """Over the catalog; `robot` drives this machine's arms, policies that read a task compute on the `vla_device`."""
    shelf, blobs = published.shelf, published.blobs
    own: dict[str, Runtime] = {
        BROWSER: BrowserRuntime(shelf),
        MUJOCO: MujocoRuntime(shelf, blobs),
        PI0: VlaRuntime(lambda ref: published.checkpoints.place(ref).folder, device=settings.vla_device),
        ROBOT: robot,
    }
    runtimes = load_runtimes({kind: partial(own.__getitem__, kind) for kind in own})

    def find_policy(kind: str, ref: str) -> str:
        """Raises InvalidInput for what a runtime of ours cannot run; of another's we don't know."""
        name = str(refs.parse(ref, "policyRef"))
        is_ours = runtimes[kind] is own.get(kind)
        for wanted in [RUNS[kind]] if is_ours else [POLICY, CHECKPOINT]:
            try:
                return shelf.get(wanted, name).ref
            except NotFound:
                continue
        needs = f"{kind} runs a {RUNS[kind]}" if is_ours else "a deployment needs a policy or a checkpoint"
        raise InvalidInput(
            f"policyRef: there is no {RUNS[kind] if is_ours else 'such item'} {name[:200]!r}; {needs}."
        )

    return Deployments(
        published.deployed,
        Fleet(runtimes, clock, max_instances=settings.max_instances),
        clock,
        find_policy=find_policy,
        on_open=robot.sweep,
        max_deployments=settings.max_deployments,
    )
