# SPDX-License-Identifier: Apache-2.0
"""YAML that constructs, multiplies or contradicts, as a deploy YAML and as a contract file."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from lerobot_arena.testing.catalog_files import cart_deploy
from lerobot_arena.testing.catalog_hostile import Hostile

_POLICY = "kind: policy\nslug: a\ntitle: A\nruntime_adapter: onnx_metadata_v1\nmodel: policy.onnx\n"
_LOL = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


def texts() -> list[Hostile]:
    """Deploy YAMLs, and contract files."""
    deploys = [Hostile(f"yaml_{name}", "deploy", bytes, says, text) for name, says, text in _YAMLS]
    changed = [
        Hostile(f"deploy_{name}", "deploy", bytes, says, json.dumps(_changed(change)))
        for name, says, change in _DEPLOYS
    ]
    contracts = [
        Hostile(f"contract_{name}", "contract", partial(text.encode, "utf-8", "surrogateescape"), says)
        for name, says, text in _CONTRACTS
    ]
    return deploys + changed + contracts


def _changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    found = cart_deploy()
    change(found)
    return found


def _tagged(value: str) -> str:
    return json.dumps(cart_deploy()).replace('"joint_ids": null', f'"joint_ids": {value}')


_YAMLS: list[tuple[str, str, str]] = [
    ("of_nothing", "missing config", ""),
    (
        "that_runs_a_command",
        "could not determine a constructor",
        "!!python/object/apply:os.system ['touch /tmp/evil']",
    ),
    ("that_runs_a_command_inside", "could not determine", _tagged("!!python/object/apply:os.system ['id']")),
    ("that_makes_an_object", "could not determine", "a: !!python/object/new:subprocess.Popen [[id]]"),
    ("that_names_a_function", "could not determine", "a: !!python/name:os.system"),
    ("that_imports_a_module", "could not determine", "a: !!python/module:antigravity"),
    ("of_tuples", "could not determine", "a: !!python/tuple [1, 2]"),
    ("of_an_own_tag", "could not determine", "a: !evil {b: c}"),
    (
        "of_a_part_of_the_joints",
        "only the slice of everything",
        _tagged("!!python/object/apply:builtins.slice [0, 3, null]"),
    ),
    (
        "of_a_slice_of_a_mapping",
        "only the slice of everything",
        _tagged("!!python/object/apply:builtins.slice {a: b}"),
    ),
    ("of_bytes", "only texts", "a: !!binary aGVsbG8="),
    ("of_dates", "only texts", "a: 2026-11-22"),
    ("that_multiplies", "values", _LOL),
    ("that_holds_itself", "values|nested|recursive", "&a [*a]"),
    ("merged_with_itself", "missing keys|YAML", "a: &a\n  <<: *a\n"),
    ("nested_deeply", "nested|YAML", "[" * 50_000),
    ("key_twice", "twice", "step_dt: 0.02\nstep_dt: 0.04\n"),
    ("keys_that_are_numbers", "no short text", "1: 2"),
    ("keys_that_are_lists", "YAML", "? [1, 2]\n: 3"),
    ("whole_number_too_large", "2\\^53", f"step_dt: {'9' * 4000}"),
    ("whole_number_of_many_digits", "YAML|2\\^53", f"step_dt: {'9' * 9000}"),
    ("several_documents", "YAML", "a: 1\n---\nb: 2\n"),
    ("that_is_none", "YAML", "a: [1, 2\nb: }"),
    ("of_control_characters", "YAML", "a: \x01\x02"),
    ("too_long", "longer than", "# " + "x" * 300_000),
    ("that_is_a_list", "mapping", "[1, 2]"),
    ("that_is_a_text", "mapping", "hello"),
]

_DEPLOYS: list[tuple[str, str, Callable[[dict[str, Any]], object]]] = [
    (
        "without_map_and_period",
        "joint_ids_map, step_dt",
        lambda d: (d.pop("joint_ids_map"), d.pop("step_dt")),
    ),
    ("without_offset", "missing key offset", lambda d: d["actions"]["JointPositionAction"].pop("offset")),
    ("map_beyond_the_motors", "joint_ids_map", lambda d: d.update(joint_ids_map=[0, 9])),
    ("map_of_one_motor_twice", "joint_ids_map", lambda d: d.update(joint_ids_map=[0, 0])),
    ("map_that_is_no_list", "joint_ids_map", lambda d: d.update(joint_ids_map="01")),
    ("gains_of_other_motors", "stiffness", lambda d: d.update(stiffness=[1.0])),
    ("gain_negative", "damping", lambda d: d.update(damping=[-1.0, 1.0])),
    ("period_of_an_hour", "control_dt", lambda d: d.update(step_dt=3600)),
    ("unknown_action", "unknown key", lambda d: d["actions"].update(JointVelocityAction={})),
    ("unknown_term", "height_scan", lambda d: d["observations"].update(height_scan={})),
    ("terms_that_do_not_add_up", "add up to", lambda d: d["observations"].pop("last_action")),
    (
        "history_without_end",
        "history_length",
        lambda d: d["observations"]["last_action"].update(history_length=10**6),
    ),
    ("without_ranges", "ranges", lambda d: d.update(commands={"base_velocity": {}})),
    ("of_29_joints_that_it_lacks", "motors", lambda d: d.pop("joint_names")),
    ("unknown_key", "unknown key", lambda d: d.update(on_load="rm -rf /")),
]

_CONTRACTS: list[tuple[str, str, str]] = [
    ("of_nothing", "empty", ""),
    ("without_kind", "kind", "slug: a"),
    ("of_unknown_kind", "kind", "kind: virus"),
    ("without_keys", "slug, title, runtime_adapter, model", "kind: policy"),
    ("unknown_key", "unknown key", _POLICY + "on_publish: rm -rf /"),
    ("path_above", "without '..'", _POLICY.replace("policy.onnx", "../../secret.onnx")),
    ("path_absolute", "without '..'", _POLICY.replace("policy.onnx", "/etc/passwd")),
    ("path_on_the_network", "without '..'", _POLICY.replace("policy.onnx", "http://evil/p.onnx")),
    ("slug_above", "slug", _POLICY.replace("slug: a", "slug: ../../admin")),
    ("slug_of_html", "slug", _POLICY.replace("slug: a", "slug: '<script>'")),
    ("title_of_lines", "title", _POLICY.replace("title: A", 'title: "A\\n\\n\\u202eB"')),
    ("ref_without_owner", "owner/slug", _POLICY + "default_robot: g1"),
    ("of_another_schema", "schema", _POLICY + "schema: 2"),
    ("not_utf8", "UTF-8", _POLICY.replace("title: A", "title: \udcff\udcfe")),
    (
        "that_runs_a_command",
        "could not determine",
        _POLICY + "description: !!python/object/apply:os.system [id]",
    ),
]
