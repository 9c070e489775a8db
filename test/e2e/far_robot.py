# SPDX-License-Identifier: Apache-2.0
"""A robot far away, as a user writes one: says its joints, moves to fresh commands only, prints what it did.

    far_robot.py URL SESSION SECONDS   (the token in ARENA_TOKEN)

One JSON line per command that it executed (`at` on its steady clock, `age_s`, `joints`) and per second of its state.
"""

import json
import sys
import time

from lerobot_arena.client import Arena

PERIOD_S = 0.02
# After a gap the next command is far away, and no arm is there at once.
FASTEST_PER_S = 150.0


def main() -> None:
    url, session_id, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    with Arena(url) as arena:
        joints = dict.fromkeys(arena.sessions.get(session_id)["inference_stats"]["joint_names"], 5.0)
        with arena.robot_link(session_id) as link:
            until = time.monotonic() + seconds
            told_at, last, before = 0.0, -1, time.monotonic()
            target = dict(joints)
            while (now := time.monotonic()) < until:
                reach = FASTEST_PER_S * min(now - before, 2 * PERIOD_S)
                before = now
                joints = {
                    name: at + max(-reach, min(reach, target[name] - at)) for name, at in joints.items()
                }
                link.send(joints)
                command = link.command()
                if command is not None and command.seq != last:
                    last = command.seq
                    target.update(command.joints)
                    say(kind="command", at=now, age_s=command.age_s, joints=dict(command.joints))
                if now - told_at > 0.5:
                    told_at = now
                    say(kind="state", at=now, is_live=link.is_live, counters=link.counters)
                time.sleep(PERIOD_S)  # the robot's control period


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
