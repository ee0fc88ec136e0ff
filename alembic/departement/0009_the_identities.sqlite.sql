CREATE TABLE passkey (
  id BLOB NOT NULL,
  person TEXT NOT NULL,
  public_key BLOB NOT NULL,
  sign_count INTEGER NOT NULL,
  name TEXT NOT NULL,
  made_at TEXT NOT NULL,
  used_at TEXT,
  CONSTRAINT pk_passkey PRIMARY KEY (id),
  CONSTRAINT fk_passkey_person FOREIGN KEY(person) REFERENCES person (id)
)
 STRICT;

CREATE INDEX ix_passkey_person ON passkey (person);

CREATE TABLE passkey_challenge (
  session BLOB NOT NULL,
  purpose TEXT NOT NULL,
  challenge BLOB NOT NULL,
  ends_at TEXT NOT NULL,
  CONSTRAINT pk_passkey_challenge PRIMARY KEY (session, purpose),
  CONSTRAINT ck_passkey_challenge_digest_size CHECK (length(session) = 32),
  CONSTRAINT ck_passkey_challenge_purpose_known CHECK (purpose IN ('add', 'prove'))
)
 STRICT;

CREATE TABLE identity (
  issuer TEXT NOT NULL,
  sub TEXT NOT NULL,
  person TEXT NOT NULL,
  siret TEXT,
  uid TEXT,
  linked_at TEXT NOT NULL,
  used_at TEXT,
  CONSTRAINT pk_identity PRIMARY KEY (issuer, sub),
  CONSTRAINT fk_identity_person FOREIGN KEY(person) REFERENCES person (id)
)
 STRICT;

CREATE INDEX ix_identity_person ON identity (person);

CREATE TABLE oidc_flow (
  browser BLOB NOT NULL,
  state BLOB NOT NULL,
  nonce TEXT NOT NULL,
  verifier TEXT NOT NULL,
  session BLOB,
  ends_at TEXT NOT NULL,
  CONSTRAINT pk_oidc_flow PRIMARY KEY (browser),
  CONSTRAINT ck_oidc_flow_digest_size CHECK (length(browser) = 32)
)
 STRICT;

CREATE TABLE oidc_proof (
  browser BLOB NOT NULL,
  issuer TEXT NOT NULL,
  sub TEXT NOT NULL,
  siret TEXT,
  uid TEXT,
  strong INTEGER NOT NULL,
  ends_at TEXT NOT NULL,
  CONSTRAINT pk_oidc_proof PRIMARY KEY (browser),
  CONSTRAINT ck_oidc_proof_digest_size CHECK (length(browser) = 32),
  CONSTRAINT ck_oidc_proof_strong_or_not CHECK (strong IN (0, 1))
)
 STRICT;
