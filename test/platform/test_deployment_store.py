# SPDX-License-Identifier: Apache-2.0
"""Deployments and rollouts survive, and belong to somebody."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lerobot_arena.core.errors import Conflict
from lerobot_arena.platform.catalog.item import POLICY, Item
from lerobot_arena.platform.deployments.deployment import BROWSER, MUJOCO, Deployment, Scale
from lerobot_arena.platform.deployments.store import DEPLOYMENT, DeploymentStore, Rollout, default_run
from lerobot_arena.platform.storage.database import open_engine

ONE = Deployment("d1", "lab", "T", "t", "lab/p", MUJOCO, Scale(most=3, idle_s=60), 1.0, "gpu-h100", 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeploymentStore]:
    engine = open_engine(f"sqlite:///{tmp_path / 'arena.db'}")
    yield DeploymentStore(engine)
    engine.dispose()


def test_a_deployment_comes_back_as_it_was(store: DeploymentStore) -> None:
    store.insert(ONE)
    assert store.all() == [ONE] and store.uses("lab/p") == [ONE]
    store.note_use("d1", 9.0)
    assert store.all() == [replace(ONE, last_active_at=9.0, updated_at=9.0)]
    with pytest.raises(Conflict):
        store.insert(replace(ONE, id="d2"))
    store.delete("d1")
    assert store.all() == []


def test_each_owner_sees_their_own(store: DeploymentStore) -> None:
    store.insert(ONE)
    store.insert(replace(ONE, id="d2", owner="eve", created_at=2.0))
    assert [one.id for one in store.all()] == ["d2", "d1"]
    assert [one.id for one in store.all("lab")] == ["d1"]


def test_a_rollout_keeps_its_newest_events(store: DeploymentStore) -> None:
    rollout = Rollout("r1", "lab", "T", "lab/p", "/lab/p", MUJOCO, DEPLOYMENT, 1.0, 1.0, deployment_id="d1")
    for number in range(300):
        rollout = rollout.after(f"event {number}", float(number), status="ready")
    rollout = rollout.after("lost", 300.0, status="failed", error="It died.")
    store.save_rollout(rollout)
    kept = store.rollout("r1")
    assert kept == rollout and len(kept.events) == 200 and kept.events[-1] == "lost"
    assert kept.error_log == "It died." and kept.status == "failed"
    assert store.rollouts("lab") == [rollout] and store.rollouts("eve") == []
    assert store.rollout("no") is None


def test_default_runs_of_policies_whose_names_look_alike_are_two(store: DeploymentStore) -> None:
    anna = default_run(Item(kind=POLICY, owner="anna", slug="b-c", title="X"), "/", BROWSER)
    other = default_run(Item(kind=POLICY, owner="anna-b", slug="c", title="Y"), "/", BROWSER)
    for rollout in (anna, other, anna, other):
        store.save_rollout(rollout)
    assert store.rollouts("anna") == [anna] and anna.id == "rollout-default-anna-b-c"
    (kept,) = store.rollouts("anna-b")
    assert kept == replace(other, id="rollout-default-anna-b/c")
