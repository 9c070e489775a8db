# SPDX-License-Identifier: Apache-2.0
"""What keeps strangers out: the throttle, the first admin's link, the key that logins are signed with."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lerobot_arena.core.errors import Conflict, InvalidInput, TooMany, Unauthorized, Unavailable
from lerobot_arena.platform.accounts.accounts import Accounts
from lerobot_arena.platform.accounts.secret_file import FILE_NAME, load_secret

PASSWORD = "a long enough sentence"


def tries_until_refused(accounts: Accounts, names: list[str], address: str, most: int = 50) -> int:
    for number in range(most):
        try:
            accounts.log_in(names[number % len(names)], "a wrong sentence", address)
        except TooMany as error:
            assert 1 <= error.retry_after_s <= 60
            return number
        except Unauthorized:
            pass
    return most


def test_guessing_stops_after_a_few_tries_for_the_guesser_alone(
    open_accounts: Callable[..., Accounts],
) -> None:
    accounts = open_accounts(tries_per_minute=3, tries_per_address=8)
    accounts.users.create("ben", PASSWORD)
    assert tries_until_refused(accounts, ["ben"], "10.0.0.1") == 3
    with pytest.raises(TooMany):
        accounts.log_in("ben", PASSWORD, "10.0.0.1")
    assert accounts.log_in("ben", PASSWORD, "10.0.0.2").user.name == "ben"
    assert tries_until_refused(accounts, [f"n{number}" for number in range(50)], "10.0.0.3") == 8
    # One customer has a whole network of IPv6.
    assert tries_until_refused(accounts, ["ben"], "2001:db8::1") == 3
    assert tries_until_refused(accounts, ["ben"], "2001:db8::ffff:2") == 0
    assert tries_until_refused(accounts, ["ben"], "no address") == 3


def test_the_right_password_gives_all_tries_back(open_accounts: Callable[..., Accounts]) -> None:
    accounts = open_accounts(tries_per_minute=3, tries_per_address=100)
    accounts.users.create("ben", PASSWORD)
    for _ in range(5):
        assert tries_until_refused(accounts, ["ben"], "10.0.0.1", most=2) == 2
        accounts.log_in("ben", PASSWORD, "10.0.0.1")


def test_changing_a_password_is_no_way_around_the_throttle(open_accounts: Callable[..., Accounts]) -> None:
    accounts = open_accounts(tries_per_minute=3, tries_per_address=100)
    accounts.users.create("ben", PASSWORD)
    who = accounts.identify(accounts.log_in("ben", PASSWORD, "10.0.0.1").access_token)
    for _ in range(3):
        with pytest.raises(Unauthorized):
            accounts.change_password(who, "a wrong sentence", "another sentence", "10.0.0.1")
    with pytest.raises(TooMany):
        accounts.change_password(who, PASSWORD, "another sentence", "10.0.0.1")


def test_the_first_admin_is_whoever_has_the_link_and_only_once(
    open_accounts: Callable[..., Accounts],
) -> None:
    accounts = open_accounts()
    with pytest.raises(Unauthorized):
        accounts.claim_first_admin("", "anna", PASSWORD, "10.0.0.1")
    secret = accounts.first_admin.offer()
    assert len(secret) >= 43 and accounts.first_admin.offer() != secret
    secret = accounts.first_admin.offer()
    for wrong in ("", secret[:-1], secret + "x", "\ud800"):
        with pytest.raises(Unauthorized, match="terminal"):
            accounts.claim_first_admin(wrong, "anna", PASSWORD, "10.0.0.1")
    with pytest.raises(InvalidInput):
        accounts.claim_first_admin(secret, "anna", "short", "10.0.0.1")
    login = accounts.claim_first_admin(secret, "anna", PASSWORD, "10.0.0.1")
    assert login.user.is_admin and accounts.identify(login.access_token).is_admin
    with pytest.raises(Conflict, match="already"):
        accounts.claim_first_admin(secret, "eve", PASSWORD, "10.0.0.1")
    assert accounts.first_admin.offer() == ""


def test_of_many_with_the_link_one_becomes_admin(open_accounts: Callable[..., Accounts]) -> None:
    accounts = open_accounts()
    secret = accounts.first_admin.offer()
    outcomes: list[str] = []

    def claim(name: str) -> None:
        try:
            outcomes.append(accounts.claim_first_admin(secret, name, PASSWORD, "10.0.0.1").user.name)
        except Conflict:
            outcomes.append("")

    threads = [threading.Thread(target=claim, args=(f"n{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[:3] == ["", "", ""] and len(accounts.users.all()) == 1


def test_a_user_made_meanwhile_closes_the_link(open_accounts: Callable[..., Accounts]) -> None:
    accounts = open_accounts()
    secret = accounts.first_admin.offer()
    accounts.users.create("ben", PASSWORD)
    with pytest.raises(Conflict):
        accounts.claim_first_admin(secret, "eve", PASSWORD, "10.0.0.1")
    with pytest.raises(Conflict, match="already"):
        accounts.users.create_first("eve", PASSWORD)
    assert [user.name for user in accounts.users.all()] == ["ben"]


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    umask = os.umask(0)
    try:
        key = load_secret(folder)
    finally:
        os.umask(umask)
    assert len(key) >= 48 and load_secret(folder) == key
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    assert load_secret(tmp_path / "other") != key


def test_processes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(load_secret(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8 and len(set(keys)) == 1


def test_a_key_that_others_can_read_or_guess_is_refused(tmp_path: Path) -> None:
    load_secret(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(Unavailable, match="chmod 600"):
        load_secret(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o600)
    (tmp_path / FILE_NAME).write_text("")
    with pytest.raises(InvalidInput, match=FILE_NAME):
        load_secret(tmp_path)
    with pytest.raises(InvalidInput, match="ARENA_JWT_SECRET"):
        load_secret(tmp_path, "secret")
    assert load_secret(tmp_path, "x" * 32) == b"x" * 32


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="ARENA_DATA_DIR"):
        load_secret(tmp_path / "file" / "data")
