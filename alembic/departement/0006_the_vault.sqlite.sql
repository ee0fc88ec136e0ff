CREATE TABLE vault_person (
  id TEXT NOT NULL,
  sealed_key BLOB,
  made_at TEXT NOT NULL,
  erased_at TEXT,
  CONSTRAINT pk_vault_person PRIMARY KEY (id),
  CONSTRAINT ck_vault_person_erased_without_key CHECK ((sealed_key IS NULL) = (erased_at IS NOT NULL))
)
 STRICT;

CREATE TABLE vault_record (
  person TEXT NOT NULL,
  kind TEXT NOT NULL,
  turn INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  made_at TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_vault_record PRIMARY KEY (person, kind, turn),
  CONSTRAINT ck_vault_record_turn_counts CHECK (turn >= 0),
  CONSTRAINT fk_vault_record_person FOREIGN KEY(person) REFERENCES vault_person (id),
  CONSTRAINT fk_vault_record_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE INDEX ix_vault_record_entry_id ON vault_record (entry_id);

CREATE TABLE vault_access (
  entry_id TEXT NOT NULL,
  person TEXT NOT NULL,
  who TEXT NOT NULL,
  at TEXT NOT NULL,
  purpose TEXT NOT NULL,
  CONSTRAINT pk_vault_access PRIMARY KEY (entry_id, person),
  CONSTRAINT ck_vault_access_purpose_told CHECK (purpose <> ''),
  CONSTRAINT fk_vault_access_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_vault_access_person FOREIGN KEY(person) REFERENCES vault_person (id)
)
 STRICT;

CREATE INDEX ix_vault_access_person ON vault_access (person);
