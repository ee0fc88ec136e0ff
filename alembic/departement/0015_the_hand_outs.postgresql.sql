ALTER TABLE tranche ADD COLUMN late_days BIGINT NOT NULL DEFAULT 31;

ALTER TABLE tranche ADD COLUMN limit_per_person BIGINT;

ALTER TABLE tranche ADD COLUMN pic_share BIGINT;

ALTER TABLE tranche ADD COLUMN holders_named BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE tranche ADD COLUMN at_sites BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE desk ADD COLUMN siret TEXT;

ALTER TABLE desk ADD COLUMN commune TEXT;

CREATE TABLE hand_out (
  entry_id UUID NOT NULL,
  order_number BIGINT NOT NULL,
  tranche BIGINT NOT NULL,
  desk TEXT NOT NULL,
  pic BOOLEAN NOT NULL,
  proof TEXT NOT NULL,
  passes BIGINT NOT NULL,
  given_on DATE NOT NULL,
  recorded_late BOOLEAN NOT NULL,
  despite_limit TEXT,
  at_site BIGINT,
  CONSTRAINT pk_hand_out PRIMARY KEY (entry_id),
  CONSTRAINT ck_hand_out_passes_count CHECK (passes > 0),
  CONSTRAINT fk_hand_out_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_hand_out_order_number FOREIGN KEY(order_number) REFERENCES voucher_order (number),
  CONSTRAINT fk_hand_out_tranche FOREIGN KEY(tranche) REFERENCES tranche (number),
  CONSTRAINT fk_hand_out_desk FOREIGN KEY(desk) REFERENCES desk (code)
);

CREATE INDEX ix_hand_out_desk_given_on ON hand_out (desk, given_on);

CREATE INDEX ix_hand_out_tranche ON hand_out (tranche);

INSERT INTO hand_out (entry_id, order_number, tranche, desk, pic, proof, passes, given_on, recorded_late)
SELECT id, (facts->>'order')::bigint, (facts->>'tranche')::bigint, facts->>'desk', (facts->>'pic')::boolean,
       facts->>'proof', (facts->>'count')::bigint, occurred_on, FALSE
FROM (SELECT id, occurred_on, convert_from(body, 'UTF8')::json->'facts' AS facts
      FROM entry WHERE kind = 'handed_out') AS told;

CREATE TABLE vault_secret (
  name TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_vault_secret PRIMARY KEY (name)
);

CREATE TABLE vault_mark (
  entry_id UUID NOT NULL,
  person UUID NOT NULL,
  mark BYTEA,
  tranche BIGINT NOT NULL,
  passes BIGINT NOT NULL,
  CONSTRAINT pk_vault_mark PRIMARY KEY (entry_id),
  CONSTRAINT ck_vault_mark_mark_size CHECK (length(mark) = 32),
  CONSTRAINT ck_vault_mark_passes_count CHECK (passes > 0),
  CONSTRAINT fk_vault_mark_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_vault_mark_person FOREIGN KEY(person) REFERENCES vault_person (id),
  CONSTRAINT fk_vault_mark_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
);

CREATE INDEX ix_vault_mark_person ON vault_mark (person);

CREATE INDEX ix_vault_mark_mark ON vault_mark (mark);
