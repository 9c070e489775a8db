# SPDX-License-Identifier: Apache-2.0
"""Where the bridge does not trust loopback, its page asks who one is, and keeps that to its tab."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from lerobot_arena.platform.accounts.users import User

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)

PASSWORD = "correct horse battery"
Look = Callable[..., tuple[Page, Any]]


@pytest.fixture
def guarded(tmp_path: Path, open_stage: Callable[..., Any]) -> Iterator[Any]:
    """A bridge where nobody is trusted for where they are, with one arm."""
    stage = open_stage(tmp_path, ("arm",), trust_loopback=False)
    try:
        yield stage
    finally:
        stage.close()


def add_user(stage: Any, name: str) -> User:
    user: User = stage.do(lambda: stage.services.accounts.users.create(name, PASSWORD))
    return user


def log_in(page: Page, name: str = "olga", password: str = PASSWORD) -> None:
    page.fill("#login-name", name)
    page.fill("#login-password", password)
    page.click("#login-submit")


def test_a_login_opens_the_page_and_a_log_out_closes_it(guarded: Any, look: Look, artifacts: Path) -> None:
    add_user(guarded, "olga")
    page, seen = look(guarded)
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("#page")).to_be_hidden()
    expect(page.locator("#sentence")).to_contain_text("asks who you are")
    page.screenshot(path=artifacts / "login.png")
    log_in(page, password="something else entirely")
    expect(page.locator("#login-problem")).not_to_be_empty()
    expect(page.locator("#page")).to_be_hidden()
    log_in(page)
    expect(page.locator("#link")).to_have_attribute("data-health", "live")
    expect(page.locator("#camera-0")).to_have_attribute("data-state", "live")
    expect(page.locator("#account-name")).to_have_text("olga")
    page.screenshot(path=artifacts / "logged-in.png")
    assert "auth/ticket" in seen.posts
    # The login is in this tab and nowhere else.
    token = page.evaluate("JSON.parse(sessionStorage['arena-login']).token")
    assert page.context.cookies() == [] and page.evaluate("Object.keys(localStorage)") == []
    assert all(token not in url for url in page.evaluate("performance.getEntries().map(entry => entry.name)"))
    page.reload()
    expect(page.locator("#link")).to_have_attribute("data-health", "live")
    page.click("#log-out")
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("#page")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0
    refused = page.request.get(f"{guarded.url}/sessions", headers={"Authorization": f"Bearer {token}"})
    assert refused.status == 401


def test_the_estop_reaches_the_arm_from_a_page_that_is_logged_in(guarded: Any, look: Look) -> None:
    add_user(guarded, "olga")
    page, _ = look(guarded)
    log_in(page)
    expect(page.locator("#link")).to_have_attribute("data-health", "live")
    page.click("#estop")
    expect(page.locator("#sentence")).to_contain_text("guard of arm")
    assert guarded.do(lambda: [verb for _, verb in guarded.fake.calls if verb == "estop"])


def test_a_login_that_ends_asks_again(guarded: Any, look: Look) -> None:
    add_user(guarded, "olga")
    page, _ = look(guarded)
    log_in(page)
    expect(page.locator("#link")).to_have_attribute("data-health", "live")
    page.evaluate(
        "(() => { const login = JSON.parse(sessionStorage['arena-login']);"
        " sessionStorage['arena-login'] = JSON.stringify({...login, endsAtMs: Date.now() + 299_000}); })()"
    )
    page.reload()
    expect(page.locator("#account-name")).to_have_text(re.compile(r"olga, [45] min left"))
    guarded.do(lambda: guarded.services.accounts.users.change("olga", is_disabled=True))
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("#camera-0")).to_be_hidden()


def test_the_printed_link_makes_the_first_admin_once(guarded: Any, look: Look, artifacts: Path) -> None:
    secret = guarded.do(guarded.services.accounts.first_admin.offer)
    page, _ = look(guarded, fragment=f"#first-admin={secret}")
    expect(page.locator("#login-title")).to_have_text("Become the first admin")
    assert secret not in page.url
    page.screenshot(path=artifacts / "first-admin.png")
    log_in(page, "Olga!")
    expect(page.locator("#login-problem")).to_contain_text("lowercase")
    log_in(page, "olga")
    expect(page.locator("#account-name")).to_have_text("olga")
    expect(page.locator("#link")).to_have_attribute("data-health", "live")
    again, _ = look(guarded, fragment=f"#first-admin={secret}")
    log_in(again, "otto")
    expect(again.locator("#login-title")).to_have_text("Log in")
    again.wait_for_timeout(300)  # some turns of the page, none of which may take the reason away
    expect(again.locator("#login-problem")).not_to_be_empty()
    assert [user.name for user in guarded.do(guarded.services.accounts.users.all)] == ["olga"]


def test_on_a_trusted_machine_nothing_is_asked(stage: Any, look: Look) -> None:
    page, seen = look(stage)
    expect(page.locator("#link")).to_have_attribute("data-health", "live")
    expect(page.locator("#login")).to_be_hidden()
    expect(page.locator("#account")).to_be_hidden()
    assert not [path for path in seen.posts if path.startswith("auth/")]
