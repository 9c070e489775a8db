# SPDX-License-Identifier: Apache-2.0
"""`arena …`: one file per group of commands. Commands talk to a running arena over REST, like any other client."""
