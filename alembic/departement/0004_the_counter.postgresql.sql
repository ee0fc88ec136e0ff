CREATE TABLE site (
  number BIGINT NOT NULL,
  national_id TEXT NOT NULL,
  siret TEXT,
  name TEXT NOT NULL,
  commune TEXT NOT NULL,
  postcode TEXT NOT NULL,
  insee TEXT,
  departement TEXT NOT NULL,
  details TEXT NOT NULL,
  updated_on DATE NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_site PRIMARY KEY (number),
  CONSTRAINT ck_site_siret_size CHECK (length(siret) = 14),
  CONSTRAINT uq_site_national_id UNIQUE (national_id),
  CONSTRAINT fk_site_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE accreditation (
  site BIGINT NOT NULL,
  programme TEXT NOT NULL,
  number BIGINT NOT NULL,
  valid_from DATE NOT NULL,
  valid_until DATE NOT NULL,
  previous BIGINT,
  previous_until DATE,
  ended_for TEXT,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_accreditation PRIMARY KEY (site, programme, number),
  CONSTRAINT uq_accreditation_site_programme_number_valid_until UNIQUE (site, programme, number, valid_until),
  CONSTRAINT fk_accreditation_previous FOREIGN KEY(site, programme, previous, previous_until) REFERENCES accreditation (site, programme, number, valid_until),
  CONSTRAINT ck_accreditation_one_after_another CHECK ((number = 0 AND previous IS NULL AND previous_until IS NULL) OR (number > 0 AND previous IS NOT NULL AND previous = number - 1 AND previous_until IS NOT NULL AND previous_until < valid_from)),
  CONSTRAINT fk_accreditation_site FOREIGN KEY(site) REFERENCES site (number),
  CONSTRAINT fk_accreditation_programme FOREIGN KEY(programme) REFERENCES programme (code),
  CONSTRAINT fk_accreditation_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE workshop (
  id UUID NOT NULL,
  site BIGINT NOT NULL,
  day DATE NOT NULL,
  kind TEXT NOT NULL,
  service TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_workshop PRIMARY KEY (id),
  CONSTRAINT ck_workshop_kind_known CHECK (kind IN ('individual', 'collective', 'at_home', 'itinerant')),
  CONSTRAINT fk_workshop_site FOREIGN KEY(site) REFERENCES site (number),
  CONSTRAINT uq_workshop_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_workshop_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE dispute (
  entry_id UUID NOT NULL,
  tranche BIGINT NOT NULL,
  serial TEXT NOT NULL,
  workshop UUID NOT NULL,
  received_at TIMESTAMP WITH TIME ZONE NOT NULL,
  present_by DATE NOT NULL,
  CONSTRAINT pk_dispute PRIMARY KEY (entry_id),
  CONSTRAINT fk_dispute_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_dispute_tranche FOREIGN KEY(tranche) REFERENCES tranche (number),
  CONSTRAINT fk_dispute_serial FOREIGN KEY(serial) REFERENCES voucher (serial),
  CONSTRAINT fk_dispute_workshop FOREIGN KEY(workshop) REFERENCES workshop (id)
);

CREATE INDEX ix_dispute_serial ON dispute (serial);

CREATE INDEX ix_dispute_tranche ON dispute (tranche);

CREATE TABLE kept_scan (
  entry_id UUID NOT NULL,
  serial TEXT NOT NULL,
  workshop UUID NOT NULL,
  received_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_kept_scan PRIMARY KEY (entry_id),
  CONSTRAINT fk_kept_scan_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT fk_kept_scan_serial FOREIGN KEY(serial) REFERENCES voucher (serial),
  CONSTRAINT fk_kept_scan_workshop FOREIGN KEY(workshop) REFERENCES workshop (id)
);

CREATE INDEX ix_kept_scan_serial ON kept_scan (serial);
