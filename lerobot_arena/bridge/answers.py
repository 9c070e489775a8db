# SPDX-License-Identifier: Apache-2.0
"""What GET answers hold, from facts alone. Fields and types follow lerobot-arena-upstream §2.1–2.2, ours are added."""

import json
from collections.abc import Iterable
from typing import Any

from lerobot_arena.bridge.feed import REPLAY
from lerobot_arena.bridge.session_book import BookedSession
from lerobot_arena.bridge.session_view import SessionFacts, SessionView
from lerobot_arena.core import topics
from lerobot_arena.core.session import SessionsStatus, SessionWanted
from lerobot_arena.core.stats import StageStat


def rooms_of(wanted: SessionWanted) -> dict[str, Any]:
    """Room ids, and the topics behind them."""
    session_id = wanted.session_id
    return {
        "workspace_id": wanted.workspace_id,
        "camera_room_ids": {name: topics.camera_room(session_id, name) for name in wanted.camera_names},
        "joint_input_room_id": topics.joint_input_room(session_id),
        "joint_output_room_id": topics.joint_output_room(session_id),
        "topics": topics_of(wanted),
    }


def topics_of(wanted: SessionWanted) -> dict[str, Any]:
    """Where a session's cameras and joints are in ROS, and which arm it drives."""
    return {
        "arm": wanted.arm,
        "cameras": dict(zip(wanted.camera_names, wanted.camera_topics, strict=True)),
        "joint_input": wanted.joint_input_topic,
        "joint_output": wanted.joint_output_topic,
    }


def stages_of(stages: Iterable[StageStat]) -> dict[str, dict[str, float]]:
    """Percentiles in ms by stage."""
    return {
        stage.name: {
            "count": stage.count,
            "p50": stage.p50_ms,
            "p95": stage.p95_ms,
            "p99": stage.p99_ms,
            "max": stage.max_ms,
        }
        for stage in stages
    }


def _per_camera(facts: SessionFacts, counts: tuple[int, ...]) -> dict[str, int]:
    held = dict(zip(facts.status.camera_names, counts)) if facts.status is not None else {}
    return {name: held.get(name, 0) for name in facts.wanted.camera_names}


def _queue_steps(facts: SessionFacts) -> int:
    return facts.guard.queue_steps if facts.guard is not None and facts.is_running else 0


def stats_of(session: BookedSession, facts: SessionFacts) -> dict[str, Any]:
    """`stats`: counters since the bridge first saw the session."""
    status, tally = facts.status, session.tally
    return {
        "inference_count": status.inference_count if status else 0,
        "images_received": _per_camera(facts, status.images_received if status else ()),
        "joints_received": status.joints_received if status else 0,
        "commands_sent": tally.commands_sent,
        "errors": status.errors if status else 0,
        "actions_in_queue": _queue_steps(facts),
        "policy_type": (status.policy_type if status else "") or facts.wanted.policy_type,
        "misses": status.misses if status else 0,
        "images_lost": _per_camera(facts, status.images_lost if status else ()),
        "cycles": tally.cycles,
        "late_cycles": tally.late_cycles,
        "holds": tally.holds,
        "decisions": dict(zip(("PASS", "CLAMP", "REJECT", "FAULT"), tally.decisions)),
        "chunks_received": tally.chunks_received,
        "chunks_dropped": tally.chunks_dropped,
    }


def inference_stats_of(session: BookedSession, facts: SessionFacts) -> dict[str, Any] | None:
    """`inference_stats`: what runs and how fast; None until inference reported the session."""
    status, guard, wanted = facts.status, facts.guard, facts.wanted
    if status is None:
        return None
    count, total_s = status.inference_count, status.total_inference_time_s
    is_running = guard is not None and facts.is_running
    return {
        "inference_count": count,
        "total_inference_time": total_s,
        "average_inference_time": total_s / count if count else 0.0,
        "average_fps": count / total_s if total_s > 0 else 0.0,
        "is_loaded": facts.is_loaded,
        "device": status.device,
        "policy_path": session.record.policy_reference,
        "camera_names": list(status.camera_names),
        "joint_names": list(status.joint_names),
        "model_type": status.policy_type,
        "model_config": json.dumps(dict(session.record.manifest), sort_keys=True),
        "policy_type": status.policy_type or wanted.policy_type,
        "chunk_size": status.chunk_size,
        "n_action_steps": status.n_action_steps,
        "action_history_length": min(session.tally.commands_sent, REPLAY),
        "stages": stages_of(status.stages),
        "guard_stages": stages_of(guard.stages) if guard is not None and facts.is_mine else {},
        "queue_depth": _queue_steps(facts),
        "misses": status.misses,
        "miss_reason": status.miss_reason or None,
        "skew_ms": status.skew_s * 1000.0,
        "chunk_age_ms": guard.action_age_s * 1000.0 if guard is not None and is_running else None,
        "input_idle_s": status.input_idle_s,
        "fps": status.fps,
        "unit": status.unit,
        "metadata_sources": list(status.metadata_sources),
        "policy_hash": status.policy_hash,
        "revision": wanted.revision,
    }


def session_answer(session: BookedSession, facts: SessionFacts, view: SessionView) -> dict[str, Any]:
    """A SessionStatusResponse."""
    return {
        "session_id": session.wanted.session_id,
        "status": view.status,
        "policy_path": session.record.policy_reference,
        "camera_names": list(session.wanted.camera_names),
        "workspace_id": session.wanted.workspace_id,
        "rooms": rooms_of(session.wanted),
        "stats": stats_of(session, facts),
        "inference_stats": inference_stats_of(session, facts),
        "error_message": view.error_message,
        "arm": session.wanted.arm,
    }


def queue_answer(
    session: BookedSession, facts: SessionFacts, before: SessionsStatus | None
) -> dict[str, Any]:
    """/debug/sessions/{id}/queue. `before` is inference's report before the newest: `…_updated` compares the two."""
    status, guard = facts.status, facts.guard
    images = _per_camera(facts, status.images_received if status else ())
    earlier = before.of(facts.wanted.session_id) if before is not None else None
    held = dict(zip(earlier.camera_names, earlier.images_received)) if earlier is not None else {}
    joints = status.joints_received if status else 0
    steps = status.n_action_steps if status else 0
    return {
        "session_id": session.wanted.session_id,
        "queue_length": _queue_steps(facts),
        "queue_maxlen": guard.queue_capacity if guard is not None else 0,
        "n_action_steps": steps,
        "control_frequency_hz": guard.control_rate_hz if guard is not None else 0.0,
        # How often a chunk runs out at the policy's own pace.
        "inference_frequency_hz": status.fps / steps if status is not None and steps else 0.0,
        "last_queue_cleanup": session.queue_cleared_at,
        "data_status": {
            "has_joint_data": joints > 0,
            "images_status": {name: count > 0 for name, count in images.items()},
            "images_updated": {name: count > held.get(name, 0) for name, count in images.items()},
            "joints_updated": joints > (earlier.joints_received if earlier is not None else 0),
        },
    }
