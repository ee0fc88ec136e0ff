CREATE TABLE job_run (
  job TEXT NOT NULL,
  day TEXT NOT NULL,
  ran_at TEXT NOT NULL,
  CONSTRAINT pk_job_run PRIMARY KEY (job, day)
)
 STRICT;

CREATE TABLE device (
  id TEXT NOT NULL,
  token_digest BLOB NOT NULL,
  label TEXT NOT NULL,
  scope TEXT NOT NULL,
  site INTEGER,
  desk TEXT,
  made_at TEXT NOT NULL,
  revoked_at TEXT,
  CONSTRAINT pk_device PRIMARY KEY (id),
  CONSTRAINT ck_device_digest_size CHECK (length(token_digest) = 32),
  CONSTRAINT ck_device_one_scope CHECK ((scope = 'site' AND site IS NOT NULL AND desk IS NULL) OR (scope = 'desk' AND desk IS NOT NULL AND site IS NULL) OR (scope = 'departement' AND site IS NULL AND desk IS NULL)),
  CONSTRAINT uq_device_token_digest UNIQUE (token_digest),
  CONSTRAINT fk_device_site FOREIGN KEY(site) REFERENCES site (number),
  CONSTRAINT fk_device_desk FOREIGN KEY(desk) REFERENCES desk (code)
)
 STRICT;
