CREATE TABLE attribution (
  idx BIGINT NOT NULL,
  segment BIGINT NOT NULL,
  cents_before BIGINT NOT NULL,
  CONSTRAINT pk_attribution PRIMARY KEY (idx)
);

CREATE TABLE call (
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  opened_on DATE NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_call PRIMARY KEY (code),
  CONSTRAINT uq_call_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_call_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE programme (
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_programme PRIMARY KEY (code),
  CONSTRAINT uq_programme_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_programme_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE convention (
  code TEXT NOT NULL,
  call TEXT NOT NULL,
  funder TEXT NOT NULL,
  name TEXT NOT NULL,
  basis TEXT NOT NULL,
  payment_mode TEXT NOT NULL,
  cap_cents BIGINT,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_convention PRIMARY KEY (code),
  CONSTRAINT uq_convention_code_call UNIQUE (code, call),
  CONSTRAINT ck_convention_funder_known CHECK (funder IN ('EU_ESF', 'EU_ESF_PLUS', 'EU_OTHER', 'STATE', 'REGION', 'DEPARTMENT', 'PRIVATE')),
  CONSTRAINT ck_convention_basis_known CHECK (basis IN ('bought', 'used', 'paid', 'unit_cost')),
  CONSTRAINT ck_convention_payment_mode_known CHECK (payment_mode IN ('prepaid', 'advance', 'on_claim')),
  CONSTRAINT ck_convention_cap_counts CHECK (cap_cents > 0),
  CONSTRAINT fk_convention_call FOREIGN KEY(call) REFERENCES call (code),
  CONSTRAINT uq_convention_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_convention_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE suspension (
  programme TEXT NOT NULL,
  starts_on DATE NOT NULL,
  version BIGINT NOT NULL,
  ends_on DATE,
  reason TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_suspension PRIMARY KEY (programme, starts_on, version),
  CONSTRAINT ck_suspension_days_in_order CHECK (starts_on <= ends_on),
  CONSTRAINT fk_suspension_programme FOREIGN KEY(programme) REFERENCES programme (code),
  CONSTRAINT uq_suspension_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_suspension_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE tranche (
  number BIGINT NOT NULL,
  code TEXT NOT NULL,
  programme TEXT NOT NULL,
  call TEXT NOT NULL,
  face_cents BIGINT NOT NULL,
  carnet_size BIGINT NOT NULL,
  regularise BOOLEAN NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_tranche PRIMARY KEY (number),
  CONSTRAINT uq_tranche_number_call UNIQUE (number, call),
  CONSTRAINT ck_tranche_number_fits CHECK (number BETWEEN 1 AND 65535),
  CONSTRAINT ck_tranche_face_fits CHECK (face_cents BETWEEN 1 AND 65535),
  CONSTRAINT ck_tranche_size_fits CHECK (carnet_size BETWEEN 1 AND 255),
  CONSTRAINT uq_tranche_code UNIQUE (code),
  CONSTRAINT fk_tranche_programme FOREIGN KEY(programme) REFERENCES programme (code),
  CONSTRAINT fk_tranche_call FOREIGN KEY(call) REFERENCES call (code),
  CONSTRAINT uq_tranche_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_tranche_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE calendar (
  tranche BIGINT NOT NULL,
  version BIGINT NOT NULL,
  hand_out_stop DATE NOT NULL,
  use_by DATE NOT NULL,
  tolerance_until DATE NOT NULL,
  present_by DATE NOT NULL,
  pay_by DATE NOT NULL,
  report_by DATE NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_calendar PRIMARY KEY (tranche, version),
  CONSTRAINT ck_calendar_days_in_order CHECK (hand_out_stop <= use_by AND use_by <= tolerance_until AND tolerance_until <= present_by AND present_by <= pay_by AND present_by <= report_by),
  CONSTRAINT fk_calendar_tranche FOREIGN KEY(tranche) REFERENCES tranche (number),
  CONSTRAINT uq_calendar_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_calendar_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE capped_attribution (
  idx BIGINT NOT NULL,
  convention TEXT NOT NULL,
  uncapped_before BIGINT NOT NULL,
  uncapped_after BIGINT NOT NULL,
  CONSTRAINT pk_capped_attribution PRIMARY KEY (idx, convention),
  CONSTRAINT fk_capped_attribution_idx FOREIGN KEY(idx) REFERENCES attribution (idx),
  CONSTRAINT fk_capped_attribution_convention FOREIGN KEY(convention) REFERENCES convention (code)
);

CREATE TABLE capped_use (
  convention TEXT NOT NULL,
  tranche BIGINT NOT NULL,
  uncapped_cents BIGINT NOT NULL,
  capped_cents BIGINT NOT NULL,
  CONSTRAINT pk_capped_use PRIMARY KEY (convention, tranche),
  CONSTRAINT fk_capped_use_convention FOREIGN KEY(convention) REFERENCES convention (code),
  CONSTRAINT fk_capped_use_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
);

CREATE TABLE convention_window (
  convention TEXT NOT NULL,
  version BIGINT NOT NULL,
  opens_on DATE NOT NULL,
  closes_on DATE NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_convention_window PRIMARY KEY (convention, version),
  CONSTRAINT ck_convention_window_days_in_order CHECK (opens_on <= closes_on),
  CONSTRAINT fk_convention_window_convention FOREIGN KEY(convention) REFERENCES convention (code),
  CONSTRAINT uq_convention_window_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_convention_window_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE share_version (
  tranche BIGINT NOT NULL,
  version BIGINT NOT NULL,
  call TEXT NOT NULL,
  from_day DATE NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_share_version PRIMARY KEY (tranche, version),
  CONSTRAINT uq_share_version_tranche_version_call UNIQUE (tranche, version, call),
  CONSTRAINT fk_share_version_tranche_call FOREIGN KEY(tranche, call) REFERENCES tranche (number, call),
  CONSTRAINT uq_share_version_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_share_version_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE target_public (
  tranche BIGINT NOT NULL,
  public TEXT NOT NULL,
  CONSTRAINT pk_target_public PRIMARY KEY (tranche, public),
  CONSTRAINT fk_target_public_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
);

CREATE TABLE territory (
  tranche BIGINT NOT NULL,
  area TEXT NOT NULL,
  CONSTRAINT pk_territory PRIMARY KEY (tranche, area),
  CONSTRAINT fk_territory_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
);

CREATE TABLE tranche_budget (
  tranche BIGINT NOT NULL,
  envelope_cents BIGINT NOT NULL,
  reserved_cents BIGINT NOT NULL,
  CONSTRAINT pk_tranche_budget PRIMARY KEY (tranche),
  CONSTRAINT ck_tranche_budget_within_envelope CHECK (reserved_cents BETWEEN 0 AND envelope_cents),
  CONSTRAINT fk_tranche_budget_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
);

CREATE TABLE segment (
  id BIGINT NOT NULL,
  tranche BIGINT NOT NULL,
  version BIGINT NOT NULL,
  open_windows TEXT NOT NULL,
  weights TEXT NOT NULL,
  cents BIGINT NOT NULL,
  CONSTRAINT pk_segment PRIMARY KEY (id),
  CONSTRAINT uq_segment_tranche_version_open_windows UNIQUE (tranche, version, open_windows),
  CONSTRAINT fk_segment_tranche_version FOREIGN KEY(tranche, version) REFERENCES share_version (tranche, version),
  CONSTRAINT ck_segment_cents_count CHECK (cents >= 0)
);

CREATE TABLE share (
  tranche BIGINT NOT NULL,
  version BIGINT NOT NULL,
  convention TEXT NOT NULL,
  call TEXT NOT NULL,
  priority BIGINT NOT NULL,
  weight BIGINT NOT NULL,
  CONSTRAINT pk_share PRIMARY KEY (tranche, version, convention),
  CONSTRAINT uq_share_tranche_version_priority UNIQUE (tranche, version, priority),
  CONSTRAINT fk_share_tranche_version_call FOREIGN KEY(tranche, version, call) REFERENCES share_version (tranche, version, call),
  CONSTRAINT fk_share_convention_call FOREIGN KEY(convention, call) REFERENCES convention (code, call),
  CONSTRAINT ck_share_weight_counts CHECK (weight >= 0),
  CONSTRAINT ck_share_priority_counts CHECK (priority >= 0)
);
