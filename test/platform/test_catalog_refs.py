# SPDX-License-Identifier: Apache-2.0
"""Owners, slugs, references and the paths of runs."""

import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import refs
from lerobot_arena.platform.catalog.refs import Composed, Ref


@pytest.mark.parametrize("slug", ["G1", "parkour", "a/b/c/d", "v1.2", "x_y-z", "a" * 64])
def test_slugs_that_can_stand_in_a_url(slug: str) -> None:
    assert refs.check_slug(slug) == slug


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "/",
        "..",
        ".",
        "a/..",
        "-a",
        ".a",
        "a.",
        "a b",
        "a%2e",
        "ä",
        "a/b/c/d/e",
        "a" * 65,
        "<a>",
        "a?b",
        "a#",
        "versions",
        "cart/versions",
        "cart/run.json/",
    ],
)
def test_slugs_that_cannot(slug: str) -> None:
    with pytest.raises(InvalidInput, match="slugPath"):
        refs.check_slug(slug)


def test_empty_segments_of_a_slug_do_not_count() -> None:
    assert refs.check_slug("/a//b/ /") == "a/b"


@pytest.mark.parametrize("text", ["", " ", "\n", None])
def test_empty_fields_are_not_given(text: str | None) -> None:
    assert refs.given(text) is None


def test_a_ref_is_an_owner_and_a_slug() -> None:
    assert refs.parse("unitree/G1") == Ref("unitree", "G1")
    assert str(refs.parse("/a/b/c/")) == "a/b/c"
    for wrong in ("g1", "a/", "", "A/b", "a/../b"):
        with pytest.raises(InvalidInput):
            refs.parse(wrong)


def test_an_owner_is_no_route() -> None:
    assert refs.check_owner("amazon", {"api", "docs"}) == "amazon"
    with pytest.raises(InvalidInput, match="route"):
        refs.check_owner("docs", {"api", "docs"})


def test_the_next_free_slug() -> None:
    assert refs.next_free("my-scene", []) == "my-scene"
    assert refs.next_free("my-scene", ["my-scene", "my-scene-2"]) == "my-scene-3"


_SEGMENTS = st.from_regex(r"[a-z]([a-z.]{0,62}[a-z])?", fullmatch=True)


@given(st.lists(_SEGMENTS, min_size=1, max_size=4).map("/".join), st.integers(1, 30))
@example("a" * 64, 12)
@example("/".join(["a" * 64, "b" * 61, "c"]), 1)
def test_the_next_free_slug_is_a_slug_however_long_the_first_was(slug: str, count: int) -> None:
    assume(len(slug) <= refs.LONGEST_SLUG and slug.rpartition("/")[2] not in refs.ROUTES_BELOW)
    taken = {slug}
    for _ in range(count):
        found = refs.next_free(slug, taken)
        assert refs.check_slug(found) == found and found not in taken
        taken.add(found)


@pytest.mark.parametrize(
    ("title", "slug"),
    [("My G1 browser!", "my-g1-browser"), ("Ünïts", "n-ts"), ("", "x"), ("—", "x"), ("a" * 99, "a" * 60)],
)
def test_a_slug_for_a_title(title: str, slug: str) -> None:
    assert refs.slug_of(title, "x") == slug


@given(st.text(max_size=200))
def test_any_title_has_a_good_slug(title: str) -> None:
    assert refs.check_slug(refs.slug_of(title, "untitled"))


def test_a_path_of_any_length_is_read_at_once() -> None:
    begin = time.monotonic()
    assert list(refs.ways_to_read(["a"] * 32_000)) == []
    assert time.monotonic() - begin < 5.0


def test_a_short_path_is_one_thing() -> None:
    assert list(refs.ways_to_read(["amazon", "php-parkour"])) == [Composed(Ref("amazon", "php-parkour"))]
    assert not list(refs.ways_to_read(["amazon"]))


def test_a_long_path_may_be_composed() -> None:
    ways = list(refs.ways_to_read(["amazon", "php-parkour", "unitree", "G1", "chasebrignac", "parkour"]))
    composed = Composed(Ref("amazon", "php-parkour"), Ref("unitree", "G1"), Ref("chasebrignac", "parkour"))
    assert composed in ways and len(ways) == 1, "five segments are longer than a slug can be"
    longer = list(refs.ways_to_read(["o", "p", "q", "r", "s", "t", "u"]))
    assert longer[0] == Composed(Ref("o", "p/q"), Ref("r", "s"), Ref("t", "u")), "the longest policy first"
    assert Composed(Ref("o", "p"), Ref("q", "r/s"), Ref("t", "u")) in longer
    assert Composed(Ref("o", "p"), Ref("q", "r"), Ref("s", "t/u")) in longer


_SLUGS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)
_REFS = st.builds(Ref, st.sampled_from("xyz"), _SLUGS)


@given(_REFS, _REFS, _REFS)
def test_every_composition_is_among_the_readings_of_its_path(policy: Ref, robot: Ref, scene: Ref) -> None:
    path = f"{policy}/{robot}/{scene}".split("/")
    assert Composed(policy, robot, scene) in set(refs.ways_to_read(path))
    assert Composed(policy) in set(refs.ways_to_read(str(policy).split("/")))
