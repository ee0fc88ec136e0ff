"""How people prove who they are besides a password: passkeys, and identities told by a provider."""

from app.migrating import grant, run_sql

revision = "0009"
down_revision = "0008"

GRANTS = {
    "passkey": {"app": "SELECT, INSERT, UPDATE (sign_count, used_at), DELETE"},
    "passkey_challenge": {"app": "SELECT, INSERT, DELETE"},
    "identity": {"app": "SELECT, INSERT, UPDATE (siret, uid, used_at), DELETE"},
    "oidc_flow": {"app": "SELECT, INSERT, DELETE"},
    "oidc_proof": {"app": "SELECT, INSERT, DELETE"},
}


def upgrade() -> None:
    run_sql(__file__)
    grant(GRANTS)
