ALTER TABLE tranche ADD COLUMN late_days INTEGER NOT NULL DEFAULT 31;

ALTER TABLE tranche ADD COLUMN limit_per_person INTEGER;

ALTER TABLE tranche ADD COLUMN pic_share INTEGER;

ALTER TABLE tranche ADD COLUMN holders_named INTEGER NOT NULL DEFAULT 0;

ALTER TABLE tranche ADD COLUMN at_sites INTEGER NOT NULL DEFAULT 0;

ALTER TABLE desk ADD COLUMN siret TEXT;

ALTER TABLE desk ADD COLUMN commune TEXT;

CREATE TABLE hand_out (
  entry_id TEXT NOT NULL,
  order_number INTEGER NOT NULL,
  tranche INTEGER NOT NULL,
  desk TEXT NOT NULL,
  pic INTEGER NOT NULL,
  proof TEXT NOT NULL,
  passes INTEGER NOT NULL,
  given_on TEXT NOT NULL,
  recorded_late INTEGER NOT NULL,
  despite_limit TEXT,
  at_site INTEGER,
  CONSTRAINT pk_hand_out PRIMARY KEY (entry_id),
  CONSTRAINT ck_hand_out_passes_count CHECK (passes > 0),
  CONSTRAINT fk_hand_out_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_hand_out_order_number FOREIGN KEY(order_number) REFERENCES voucher_order (number),
  CONSTRAINT fk_hand_out_tranche FOREIGN KEY(tranche) REFERENCES tranche (number),
  CONSTRAINT fk_hand_out_desk FOREIGN KEY(desk) REFERENCES desk (code)
)
 STRICT;

CREATE INDEX ix_hand_out_desk_given_on ON hand_out (desk, given_on);

CREATE INDEX ix_hand_out_tranche ON hand_out (tranche);

INSERT INTO hand_out (entry_id, order_number, tranche, desk, pic, proof, passes, given_on, recorded_late)
SELECT id,
       json_extract(CAST(body AS TEXT), '$.facts.order'),
       json_extract(CAST(body AS TEXT), '$.facts.tranche'),
       json_extract(CAST(body AS TEXT), '$.facts.desk'),
       json_extract(CAST(body AS TEXT), '$.facts.pic'),
       json_extract(CAST(body AS TEXT), '$.facts.proof'),
       json_extract(CAST(body AS TEXT), '$.facts.count'),
       occurred_on, 0
FROM entry WHERE kind = 'handed_out';

CREATE TABLE vault_secret (
  name TEXT NOT NULL,
  sealed BLOB NOT NULL,
  made_at TEXT NOT NULL,
  CONSTRAINT pk_vault_secret PRIMARY KEY (name)
)
 STRICT;

CREATE TABLE vault_mark (
  entry_id TEXT NOT NULL,
  person TEXT NOT NULL,
  mark BLOB,
  tranche INTEGER NOT NULL,
  passes INTEGER NOT NULL,
  CONSTRAINT pk_vault_mark PRIMARY KEY (entry_id),
  CONSTRAINT ck_vault_mark_mark_size CHECK (length(mark) = 32),
  CONSTRAINT ck_vault_mark_passes_count CHECK (passes > 0),
  CONSTRAINT fk_vault_mark_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_vault_mark_person FOREIGN KEY(person) REFERENCES vault_person (id),
  CONSTRAINT fk_vault_mark_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
)
 STRICT;

CREATE INDEX ix_vault_mark_person ON vault_mark (person);

CREATE INDEX ix_vault_mark_mark ON vault_mark (mark);
