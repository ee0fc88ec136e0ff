CREATE TABLE passkey (
  id BYTEA NOT NULL,
  person UUID NOT NULL,
  public_key BYTEA NOT NULL,
  sign_count BIGINT NOT NULL,
  name TEXT NOT NULL,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  used_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_passkey PRIMARY KEY (id),
  CONSTRAINT fk_passkey_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE INDEX ix_passkey_person ON passkey (person);

CREATE TABLE passkey_challenge (
  session BYTEA NOT NULL,
  purpose TEXT NOT NULL,
  challenge BYTEA NOT NULL,
  ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_passkey_challenge PRIMARY KEY (session, purpose),
  CONSTRAINT ck_passkey_challenge_digest_size CHECK (length(session) = 32),
  CONSTRAINT ck_passkey_challenge_purpose_known CHECK (purpose IN ('add', 'prove'))
);

CREATE TABLE identity (
  issuer TEXT NOT NULL,
  sub TEXT NOT NULL,
  person UUID NOT NULL,
  siret TEXT,
  uid TEXT,
  linked_at TIMESTAMP WITH TIME ZONE NOT NULL,
  used_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_identity PRIMARY KEY (issuer, sub),
  CONSTRAINT fk_identity_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE INDEX ix_identity_person ON identity (person);

CREATE TABLE oidc_flow (
  browser BYTEA NOT NULL,
  state BYTEA NOT NULL,
  nonce TEXT NOT NULL,
  verifier TEXT NOT NULL,
  session BYTEA,
  ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_oidc_flow PRIMARY KEY (browser),
  CONSTRAINT ck_oidc_flow_digest_size CHECK (length(browser) = 32)
);

CREATE TABLE oidc_proof (
  browser BYTEA NOT NULL,
  issuer TEXT NOT NULL,
  sub TEXT NOT NULL,
  siret TEXT,
  uid TEXT,
  strong BOOLEAN NOT NULL,
  ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_oidc_proof PRIMARY KEY (browser),
  CONSTRAINT ck_oidc_proof_digest_size CHECK (length(browser) = 32)
);
