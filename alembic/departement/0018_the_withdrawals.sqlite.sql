CREATE TABLE accreditation_anew (
  site INTEGER NOT NULL,
  programme TEXT NOT NULL,
  number INTEGER NOT NULL,
  valid_from TEXT NOT NULL,
  valid_until TEXT NOT NULL,
  previous INTEGER,
  previous_until TEXT,
  ended_for TEXT,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_accreditation PRIMARY KEY (site, programme, number),
  CONSTRAINT uq_accreditation_site_programme_number_valid_until UNIQUE (site, programme, number, valid_until),
  CONSTRAINT fk_accreditation_previous FOREIGN KEY(site, programme, previous, previous_until) REFERENCES accreditation_anew (site, programme, number, valid_until) ON UPDATE CASCADE,
  CONSTRAINT ck_accreditation_one_after_another CHECK ((number = 0 AND previous IS NULL AND previous_until IS NULL) OR (number > 0 AND previous IS NOT NULL AND previous = number - 1 AND previous_until IS NOT NULL AND previous_until < valid_from)),
  CONSTRAINT fk_accreditation_site FOREIGN KEY(site) REFERENCES site (number),
  CONSTRAINT fk_accreditation_programme FOREIGN KEY(programme) REFERENCES programme (code),
  CONSTRAINT fk_accreditation_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

INSERT INTO accreditation_anew SELECT * FROM accreditation ORDER BY site, programme, number;

DROP TABLE accreditation;

ALTER TABLE accreditation_anew RENAME TO accreditation;
