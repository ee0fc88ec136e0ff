CREATE TABLE attestation (
  entry_id TEXT NOT NULL,
  desk TEXT NOT NULL,
  from_day TEXT NOT NULL,
  until_day TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  CONSTRAINT pk_attestation PRIMARY KEY (entry_id),
  CONSTRAINT fk_attestation_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_attestation_desk FOREIGN KEY(desk) REFERENCES desk (code)
)
 STRICT;

CREATE TABLE attested (
  hand_out TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_attested PRIMARY KEY (hand_out),
  CONSTRAINT fk_attested_hand_out FOREIGN KEY(hand_out) REFERENCES hand_out (entry_id),
  CONSTRAINT fk_attested_entry_id FOREIGN KEY(entry_id) REFERENCES attestation (entry_id)
)
 STRICT;

CREATE INDEX ix_attested_entry_id ON attested (entry_id);
