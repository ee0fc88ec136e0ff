CREATE TABLE person (
  id TEXT NOT NULL,
  login TEXT NOT NULL,
  name TEXT NOT NULL,
  email TEXT,
  made_at TEXT NOT NULL,
  CONSTRAINT pk_person PRIMARY KEY (id),
  CONSTRAINT ck_person_login_is_lower CHECK (login = lower(login)),
  CONSTRAINT uq_person_login UNIQUE (login)
)
 STRICT;

CREATE TABLE sign_in_failures (
  digest BLOB NOT NULL,
  failures INTEGER NOT NULL,
  last_at TEXT NOT NULL,
  CONSTRAINT pk_sign_in_failures PRIMARY KEY (digest),
  CONSTRAINT ck_sign_in_failures_digest_size CHECK (length(digest) = 32)
)
 STRICT;

CREATE TABLE invitation (
  digest BLOB NOT NULL,
  person TEXT NOT NULL,
  made_at TEXT NOT NULL,
  ends_at TEXT NOT NULL,
  used_at TEXT,
  CONSTRAINT pk_invitation PRIMARY KEY (digest),
  CONSTRAINT ck_invitation_digest_size CHECK (length(digest) = 32),
  CONSTRAINT fk_invitation_person FOREIGN KEY(person) REFERENCES person (id)
)
 STRICT;

CREATE INDEX ix_invitation_person ON invitation (person);

CREATE TABLE password (
  person TEXT NOT NULL,
  hash TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  CONSTRAINT pk_password PRIMARY KEY (person),
  CONSTRAINT fk_password_person FOREIGN KEY(person) REFERENCES person (id)
)
 STRICT;

CREATE TABLE recovery_code (
  person TEXT NOT NULL,
  digest BLOB NOT NULL,
  used_at TEXT,
  CONSTRAINT pk_recovery_code PRIMARY KEY (person, digest),
  CONSTRAINT ck_recovery_code_digest_size CHECK (length(digest) = 32),
  CONSTRAINT fk_recovery_code_person FOREIGN KEY(person) REFERENCES person (id)
)
 STRICT;

CREATE TABLE totp (
  person TEXT NOT NULL,
  sealed BLOB NOT NULL,
  confirmed_at TEXT,
  last_step INTEGER NOT NULL,
  CONSTRAINT pk_totp PRIMARY KEY (person),
  CONSTRAINT fk_totp_person FOREIGN KEY(person) REFERENCES person (id)
)
 STRICT;

CREATE TABLE web_session (
  digest BLOB NOT NULL,
  person TEXT NOT NULL,
  opened_at TEXT NOT NULL,
  seen_at TEXT NOT NULL,
  ends_at TEXT NOT NULL,
  second_factor TEXT,
  factor_due INTEGER NOT NULL,
  device TEXT NOT NULL,
  closed_at TEXT,
  CONSTRAINT pk_web_session PRIMARY KEY (digest),
  CONSTRAINT ck_web_session_digest_size CHECK (length(digest) = 32),
  CONSTRAINT ck_web_session_due_or_not CHECK (factor_due IN (0, 1)),
  CONSTRAINT fk_web_session_person FOREIGN KEY(person) REFERENCES person (id)
)
 STRICT;

CREATE INDEX ix_web_session_person ON web_session (person);

CREATE TABLE membership (
  id TEXT NOT NULL,
  person TEXT NOT NULL,
  role TEXT NOT NULL,
  desk TEXT,
  site INTEGER,
  programme TEXT,
  made_at TEXT NOT NULL,
  ended_at TEXT,
  CONSTRAINT pk_membership PRIMARY KEY (id),
  CONSTRAINT ck_membership_role_known CHECK (role IN ('manager', 'accountant', 'authorising_officer', 'prescriber_manager', 'prescriber_agent', 'site_manager', 'mediator', 'volunteer', 'auditor', 'operator')),
  CONSTRAINT ck_membership_desk_where_due CHECK ((role IN ('prescriber_manager', 'prescriber_agent')) = (desk IS NOT NULL)),
  CONSTRAINT ck_membership_site_where_due CHECK ((role IN ('site_manager', 'mediator', 'volunteer')) = (site IS NOT NULL)),
  CONSTRAINT fk_membership_id FOREIGN KEY(id) REFERENCES entry (id),
  CONSTRAINT fk_membership_person FOREIGN KEY(person) REFERENCES person (id),
  CONSTRAINT fk_membership_desk FOREIGN KEY(desk) REFERENCES desk (code),
  CONSTRAINT fk_membership_site FOREIGN KEY(site) REFERENCES site (number),
  CONSTRAINT fk_membership_programme FOREIGN KEY(programme) REFERENCES programme (code)
)
 STRICT;

CREATE INDEX ix_membership_person ON membership (person);
