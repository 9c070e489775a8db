# SPDX-License-Identifier: Apache-2.0
"""Users: who may be called what, which passwords, and that there is always an admin."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from lerobot_arena.core.errors import Conflict, InvalidInput, NotFound, Unauthorized
from lerobot_arena.core.principal import ADMIN, SCOPES, SESSIONS_READ, USER_SCOPES
from lerobot_arena.platform.accounts.accounts import Accounts
from lerobot_arena.platform.accounts.names import RESERVED, check_name, is_name
from lerobot_arena.platform.accounts.passwords import hash_password, is_password

PASSWORD = "a long enough sentence"


def refused(name: str) -> bool:
    try:
        check_name(name)
    except InvalidInput:
        return True
    return False


@given(st.text(max_size=45))
def test_a_name_is_lowercase_letters_digits_and_inner_hyphens(name: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    fits = 1 <= len(name) <= 39 and set(name) <= allowed and name[0] != "-" and name[-1] != "-"
    assert is_name(name) == fits
    assert refused(name) == (not fits or name in RESERVED)


@pytest.mark.parametrize("name", ["a", "7", "chasebrignac", "a-b--c", "x" * 39])
def test_these_names_can_be_had(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "ä", "a b", "a/b", "x" * 40, "a\n", "\0", "local", "anonymous"]
)
def test_these_names_cannot(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)


def test_paths_of_routes_can_be_kept_from_people(open_accounts: Callable[..., Accounts]) -> None:
    accounts = open_accounts(reserved={"leaderboard"})
    with pytest.raises(InvalidInput, match="reserved"):
        accounts.users.create("leaderboard", PASSWORD)


def test_users_are_made_listed_changed_and_deleted(accounts: Accounts) -> None:
    users = accounts.users
    assert [(user.name, user.role, user.scopes) for user in users.all()] == [
        ("anna", "admin", frozenset(SCOPES)),
        ("ben", "user", frozenset(USER_SCOPES)),
    ]
    with pytest.raises(Conflict, match="ben"):
        users.create("ben", PASSWORD)
    assert users.change("ben", scopes={SESSIONS_READ}).scopes == {SESSIONS_READ}
    assert users.change("ben", is_disabled=True).is_disabled
    assert users.change("ben", role="admin").scopes == frozenset(SCOPES)
    assert users.change("ben", role="user").scopes == {SESSIONS_READ}
    assert users.get("ben").is_disabled
    users.delete("ben")
    with pytest.raises(NotFound):
        users.get("ben")
    for name in ("ben", "no\0body", "x" * 500):
        with pytest.raises(NotFound):
            users.delete(name)
        with pytest.raises(NotFound):
            users.change(name, role="admin")


def test_a_user_is_given_only_what_a_user_can_have(accounts: Accounts) -> None:
    for scopes in ({ADMIN}, {"sessions:read", "nonsense"}):
        with pytest.raises(InvalidInput, match="Choose from"):
            accounts.users.change("ben", scopes=scopes)
        with pytest.raises(InvalidInput, match="Choose from"):
            accounts.users.create("carl", PASSWORD, scopes=scopes)
    with pytest.raises(InvalidInput, match="role"):
        accounts.users.change("ben", role="owner")


def test_the_last_admin_stays(accounts: Accounts) -> None:
    users = accounts.users
    for remove in (
        lambda: users.delete("anna"),
        lambda: users.change("anna", is_disabled=True),
        lambda: users.change("anna", role="user"),
    ):
        with pytest.raises(Conflict, match="only admin"):
            remove()
    assert users.get("anna").is_admin and not users.get("anna").is_disabled
    users.change("ben", role="admin", is_disabled=True)
    with pytest.raises(Conflict, match="only admin"):
        users.delete("anna")
    users.change("ben", is_disabled=False)
    users.delete("anna")
    assert [user.name for user in users.all()] == ["ben"]


def test_two_who_remove_each_other_at_once_leave_one(accounts: Accounts, engine: Engine) -> None:
    """In two processes, which know nothing of each other's locks."""
    accounts.users.change("ben", role="admin")
    with engine.connect() as other, ThreadPoolExecutor(1) as threads:
        other.execute(text("UPDATE users SET is_disabled = :yes WHERE name = 'anna'"), {"yes": True})
        disabling = threads.submit(lambda: accounts.users.change("ben", is_disabled=True))
        assert not wait([disabling], timeout=0.3).done
        other.commit()
        with pytest.raises(Conflict, match="only admin"):
            disabling.result()
    assert [user.name for user in accounts.users.all() if not user.is_disabled] == ["ben"]


def test_without_any_admin_users_can_still_be_changed(open_accounts: Callable[..., Accounts]) -> None:
    users = open_accounts().users
    users.create("ben", PASSWORD)
    assert users.change("ben", is_disabled=True).is_disabled
    users.delete("ben")
    assert not users.exist()


def test_a_password_is_long_enough_and_not_too_long(accounts: Accounts) -> None:
    for password in ("", "short", "x" * 9, "x" * 1025, "half a character \ud800"):
        with pytest.raises(InvalidInput, match="password"):
            accounts.users.create("carl", password)
        with pytest.raises(InvalidInput, match="password"):
            accounts.users.change("ben", password=password)
        with pytest.raises(Unauthorized):
            accounts.users.check_password("ben", password)
    assert accounts.users.find("carl") is None


def test_only_the_right_password_opens_and_nothing_of_it_is_stored(
    accounts: Accounts, engine: Engine
) -> None:
    assert accounts.users.check_password("ben", PASSWORD).name == "ben"
    for name, password in (
        ("ben", PASSWORD + " "),
        ("ben", "x" * 5000),
        ("carl", PASSWORD),
        ("b\0n", PASSWORD),
    ):
        with pytest.raises(Unauthorized):
            accounts.users.check_password(name, password)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT password_hash FROM users")).scalars().all()
    assert all(row.startswith("$argon2id$") for row in rows) and len(set(rows)) == 2
    assert PASSWORD not in str(rows)


def test_a_password_typed_on_another_keyboard_is_the_same() -> None:
    assert is_password("fu\u0308nf Blaubeeren", hash_password("f\u00fcnf Blaubeeren"))


def test_a_disabled_user_does_not_get_in(accounts: Accounts) -> None:
    accounts.users.change("ben", is_disabled=True)
    with pytest.raises(Unauthorized, match="disabled"):
        accounts.users.check_password("ben", PASSWORD)


def test_an_old_hash_is_renewed_when_its_user_comes(accounts: Accounts, engine: Engine) -> None:
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with engine.begin() as connection:
        connection.execute(text("UPDATE users SET password_hash = :old WHERE name = 'ben'"), {"old": old})
    accounts.users.check_password("ben", PASSWORD)
    with engine.connect() as connection:
        new = connection.execute(text("SELECT password_hash FROM users WHERE name = 'ben'")).scalar()
    assert new != old and "m=19456" in new
    accounts.users.check_password("ben", PASSWORD)


def test_an_unknown_user_takes_as_long_as_a_wrong_password(accounts: Accounts) -> None:
    def cost_s(name: str) -> float:
        """Of the processor: what else this machine does meanwhile does not count."""
        found = []
        for _ in range(5):
            begin = time.thread_time()
            with pytest.raises(Unauthorized):
                accounts.users.check_password(name, "some other sentence")
            found.append(time.thread_time() - begin)
        return min(found)

    # Hashing takes over 10 ms, all else less than one.
    assert 0.5 < cost_s("nobody-at-all") / cost_s("ben") < 2.0
