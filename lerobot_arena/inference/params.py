# SPDX-License-Identifier: Apache-2.0
"""Parameters of the inference node."""

from dataclasses import dataclass

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import param
from lerobot_arena.inference.sync import SyncRules
from lerobot_arena.inference.worker_client import WorkerOptions


@dataclass(frozen=True)
class InferenceParams:
    """See config/inference.yaml."""

    robot: str = param(
        "so101", "Robot of every arm that `robots` does not name: a shipped robot or a .yaml file."
    )
    robots: tuple[str, ...] = param((), "Robots of single arms, as arm=robot.")
    device: str = param("cpu", "Where LeRobot policies compute: cpu, cuda, cuda:0, mps.")
    threads: int = param(0, "Threads of one policy; 0: all cores but one.", lowest=0, highest=256)
    nice: int = param(5, "How far policies step back for the guard, as nice(1).", lowest=0, highest=19)
    max_sessions: int = param(
        16, "Sessions served at once; further ones show an error.", lowest=1, highest=256
    )
    load_timeout_s: float = param(180.0, "How long loading a policy may take.", lowest=1.0, highest=3600.0)
    infer_timeout_s: float = param(
        5.0,
        "How long one answer may take before the policy counts as hung and is killed.",
        lowest=0.05,
        highest=600.0,
    )
    max_batch: int = param(
        8,
        "How many sessions a policy may answer in one call, where its kind gains by that; 1: always one by one.",
        lowest=1,
        highest=64,
    )
    stale_s: float = param(
        0.5, "Older camera frames and joints make no observation.", lowest=0.01, highest=60.0
    )
    skew_s: float = param(
        0.1, "Largest distance in time between the parts of one observation.", lowest=0.001, highest=10.0
    )
    room_skew_s: float = param(
        0.5,
        "The same for virtual arms, whose clients' clocks are compared by receipt only.",
        lowest=0.001,
        highest=10.0,
    )
    future_s: float = param(
        0.1,
        "A stamp further in the future than this is refused where clocks are shared.",
        lowest=0.0,
        highest=10.0,
    )
    arm_shares_clock: bool = param(
        True,
        "Whether an arm's cameras and joints are stamped by this machine's clock; false compares receipt times.",
    )
    status_rate_hz: float = param(
        4.0, "How often the sessions' status is repeated.", lowest=0.2, highest=20.0
    )
    record_dir: str = param(
        "", "Debugging: every observation given to a policy is stored there as .npz; empty: none."
    )

    def worker_options(self) -> WorkerOptions:
        """What a worker process needs to know."""
        return WorkerOptions(
            device=self.device,
            threads=self.threads,
            nice=self.nice,
            load_timeout_s=self.load_timeout_s,
            infer_timeout_s=self.infer_timeout_s,
            max_batch=self.max_batch,
            record_dir=self.record_dir,
        )

    def sync_rules(self, *, is_virtual: bool) -> SyncRules:
        """An arm's sources fit by capture time; a room's latest value stands until the next."""
        if is_virtual:
            return SyncRules(stale_s=self.stale_s, skew_s=self.room_skew_s, prefer_newest=True)
        return SyncRules(
            stale_s=self.stale_s,
            skew_s=self.skew_s,
            future_s=self.future_s,
            shares_clock=self.arm_shares_clock,
        )

    def robot_of(self, arm: str) -> str:
        """The robot reference of an arm. Raises InvalidInput when `robots` is not a list of arm=robot."""
        for entry in self.robots:
            name, separator, robot = entry.partition("=")
            if not separator or not name or not robot:
                raise InvalidInput(f"Parameter robots has {entry!r}; write arm=robot.")
            if name == arm:
                return robot
        return self.robot
