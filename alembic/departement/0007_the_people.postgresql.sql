CREATE TABLE person (
  id UUID NOT NULL,
  login TEXT NOT NULL,
  name TEXT NOT NULL,
  email TEXT,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_person PRIMARY KEY (id),
  CONSTRAINT ck_person_login_is_lower CHECK (login = lower(login)),
  CONSTRAINT uq_person_login UNIQUE (login)
);

CREATE TABLE sign_in_failures (
  digest BYTEA NOT NULL,
  failures BIGINT NOT NULL,
  last_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_sign_in_failures PRIMARY KEY (digest),
  CONSTRAINT ck_sign_in_failures_digest_size CHECK (length(digest) = 32)
);

CREATE TABLE invitation (
  digest BYTEA NOT NULL,
  person UUID NOT NULL,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
  used_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_invitation PRIMARY KEY (digest),
  CONSTRAINT ck_invitation_digest_size CHECK (length(digest) = 32),
  CONSTRAINT fk_invitation_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE INDEX ix_invitation_person ON invitation (person);

CREATE TABLE password (
  person UUID NOT NULL,
  hash TEXT NOT NULL,
  changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_password PRIMARY KEY (person),
  CONSTRAINT fk_password_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE TABLE recovery_code (
  person UUID NOT NULL,
  digest BYTEA NOT NULL,
  used_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_recovery_code PRIMARY KEY (person, digest),
  CONSTRAINT ck_recovery_code_digest_size CHECK (length(digest) = 32),
  CONSTRAINT fk_recovery_code_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE TABLE totp (
  person UUID NOT NULL,
  sealed BYTEA NOT NULL,
  confirmed_at TIMESTAMP WITH TIME ZONE,
  last_step BIGINT NOT NULL,
  CONSTRAINT pk_totp PRIMARY KEY (person),
  CONSTRAINT fk_totp_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE TABLE web_session (
  digest BYTEA NOT NULL,
  person UUID NOT NULL,
  opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
  seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
  ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
  second_factor TEXT,
  factor_due BOOLEAN NOT NULL,
  device TEXT NOT NULL,
  closed_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_web_session PRIMARY KEY (digest),
  CONSTRAINT ck_web_session_digest_size CHECK (length(digest) = 32),
  CONSTRAINT fk_web_session_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE INDEX ix_web_session_person ON web_session (person);

CREATE TABLE membership (
  id UUID NOT NULL,
  person UUID NOT NULL,
  role TEXT NOT NULL,
  desk TEXT,
  site BIGINT,
  programme TEXT,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  ended_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_membership PRIMARY KEY (id),
  CONSTRAINT ck_membership_role_known CHECK (role IN ('manager', 'accountant', 'authorising_officer', 'prescriber_manager', 'prescriber_agent', 'site_manager', 'mediator', 'volunteer', 'auditor', 'operator')),
  CONSTRAINT ck_membership_desk_where_due CHECK ((role IN ('prescriber_manager', 'prescriber_agent')) = (desk IS NOT NULL)),
  CONSTRAINT ck_membership_site_where_due CHECK ((role IN ('site_manager', 'mediator', 'volunteer')) = (site IS NOT NULL)),
  CONSTRAINT fk_membership_id FOREIGN KEY(id) REFERENCES entry (id),
  CONSTRAINT fk_membership_person FOREIGN KEY(person) REFERENCES person (id),
  CONSTRAINT fk_membership_desk FOREIGN KEY(desk) REFERENCES desk (code),
  CONSTRAINT fk_membership_site FOREIGN KEY(site) REFERENCES site (number),
  CONSTRAINT fk_membership_programme FOREIGN KEY(programme) REFERENCES programme (code)
);

CREATE INDEX ix_membership_person ON membership (person);
