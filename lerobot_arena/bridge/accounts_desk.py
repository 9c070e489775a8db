# SPDX-License-Identifier: Apache-2.0
"""Where routes ask about accounts: in threads of its own, so that a flood of logins holds up nothing else."""

import sys

from sqlalchemy import Engine

from lerobot_arena.bridge.desk import Desk
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.clock import Clock
from lerobot_arena.platform.accounts.accounts import Accounts
from lerobot_arena.platform.accounts.secret_file import load_secret


class AccountsDesk(Desk):
    """Accounts behind a desk of their own."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__("accounts")
        self.accounts = accounts

    def close(self) -> None:
        """End the threads; write what waits."""
        super().close()
        self.accounts.close()


def open_accounts(engine: Engine, settings: Settings, clock: Clock) -> Accounts:
    """Accounts as the settings want them. Raises InvalidInput or Unavailable when the key for logins cannot be used."""
    return Accounts(
        engine,
        load_secret(settings.data_dir, settings.jwt_secret.get_secret_value()),
        clock=clock,
        tries_per_minute=settings.login_tries_per_minute,
        tries_per_address=settings.login_tries_per_address,
    )


async def offer_first_admin(desk: AccountsDesk, settings: Settings, port: int) -> None:
    """Print the one-time link where it is needed: nobody has an account, and loopback alone opens nothing.

    On stderr and not through logging: whoever reads /debug/logs is not whoever started this.
    """
    if not settings.is_beyond_loopback and settings.trust_loopback and not settings.behind_proxy:
        return
    secret = await desk.ask(desk.accounts.first_admin.offer)
    if secret:
        address = f"{settings.scheme}://{_reachable(settings)}:{port}/ui/#first-admin={secret}"
        print(
            "Nobody has an account yet, so nobody can log in. Become the first admin with this link, which works once:"
            f"\n  {address}\nor with: arena users create NAME --admin",
            file=sys.stderr,
            flush=True,
        )


def _reachable(settings: Settings) -> str:
    host = settings.bridge_host
    if host in {"0.0.0.0", "::"}:
        host = settings.own_names[1] if len(settings.own_names) > 1 else "localhost"
    return f"[{host}]" if ":" in host else host
