CREATE TABLE attribution (
  idx INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  cents_before INTEGER NOT NULL,
  CONSTRAINT pk_attribution PRIMARY KEY (idx)
)
 STRICT;

CREATE TABLE call (
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  opened_on TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_call PRIMARY KEY (code),
  CONSTRAINT uq_call_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_call_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE programme (
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_programme PRIMARY KEY (code),
  CONSTRAINT uq_programme_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_programme_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE convention (
  code TEXT NOT NULL,
  call TEXT NOT NULL,
  funder TEXT NOT NULL,
  name TEXT NOT NULL,
  basis TEXT NOT NULL,
  payment_mode TEXT NOT NULL,
  cap_cents INTEGER,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_convention PRIMARY KEY (code),
  CONSTRAINT uq_convention_code_call UNIQUE (code, call),
  CONSTRAINT ck_convention_funder_known CHECK (funder IN ('EU_ESF', 'EU_ESF_PLUS', 'EU_OTHER', 'STATE', 'REGION', 'DEPARTMENT', 'PRIVATE')),
  CONSTRAINT ck_convention_basis_known CHECK (basis IN ('bought', 'used', 'paid', 'unit_cost')),
  CONSTRAINT ck_convention_payment_mode_known CHECK (payment_mode IN ('prepaid', 'advance', 'on_claim')),
  CONSTRAINT ck_convention_cap_counts CHECK (cap_cents > 0),
  CONSTRAINT fk_convention_call FOREIGN KEY(call) REFERENCES call (code),
  CONSTRAINT uq_convention_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_convention_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE suspension (
  programme TEXT NOT NULL,
  starts_on TEXT NOT NULL,
  version INTEGER NOT NULL,
  ends_on TEXT,
  reason TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_suspension PRIMARY KEY (programme, starts_on, version),
  CONSTRAINT ck_suspension_days_in_order CHECK (starts_on <= ends_on),
  CONSTRAINT fk_suspension_programme FOREIGN KEY(programme) REFERENCES programme (code),
  CONSTRAINT uq_suspension_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_suspension_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE tranche (
  number INTEGER NOT NULL,
  code TEXT NOT NULL,
  programme TEXT NOT NULL,
  call TEXT NOT NULL,
  face_cents INTEGER NOT NULL,
  carnet_size INTEGER NOT NULL,
  regularise INTEGER NOT NULL,
  entry_id TEXT NOT NULL,
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
)
 STRICT;

CREATE TABLE calendar (
  tranche INTEGER NOT NULL,
  version INTEGER NOT NULL,
  hand_out_stop TEXT NOT NULL,
  use_by TEXT NOT NULL,
  tolerance_until TEXT NOT NULL,
  present_by TEXT NOT NULL,
  pay_by TEXT NOT NULL,
  report_by TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_calendar PRIMARY KEY (tranche, version),
  CONSTRAINT ck_calendar_days_in_order CHECK (hand_out_stop <= use_by AND use_by <= tolerance_until AND tolerance_until <= present_by AND present_by <= pay_by AND present_by <= report_by),
  CONSTRAINT fk_calendar_tranche FOREIGN KEY(tranche) REFERENCES tranche (number),
  CONSTRAINT uq_calendar_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_calendar_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE capped_attribution (
  idx INTEGER NOT NULL,
  convention TEXT NOT NULL,
  uncapped_before INTEGER NOT NULL,
  uncapped_after INTEGER NOT NULL,
  CONSTRAINT pk_capped_attribution PRIMARY KEY (idx, convention),
  CONSTRAINT fk_capped_attribution_idx FOREIGN KEY(idx) REFERENCES attribution (idx),
  CONSTRAINT fk_capped_attribution_convention FOREIGN KEY(convention) REFERENCES convention (code)
)
 STRICT;

CREATE TABLE capped_use (
  convention TEXT NOT NULL,
  tranche INTEGER NOT NULL,
  uncapped_cents INTEGER NOT NULL,
  capped_cents INTEGER NOT NULL,
  CONSTRAINT pk_capped_use PRIMARY KEY (convention, tranche),
  CONSTRAINT fk_capped_use_convention FOREIGN KEY(convention) REFERENCES convention (code),
  CONSTRAINT fk_capped_use_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
)
 STRICT;

CREATE TABLE convention_window (
  convention TEXT NOT NULL,
  version INTEGER NOT NULL,
  opens_on TEXT NOT NULL,
  closes_on TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_convention_window PRIMARY KEY (convention, version),
  CONSTRAINT ck_convention_window_days_in_order CHECK (opens_on <= closes_on),
  CONSTRAINT fk_convention_window_convention FOREIGN KEY(convention) REFERENCES convention (code),
  CONSTRAINT uq_convention_window_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_convention_window_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE share_version (
  tranche INTEGER NOT NULL,
  version INTEGER NOT NULL,
  call TEXT NOT NULL,
  from_day TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_share_version PRIMARY KEY (tranche, version),
  CONSTRAINT uq_share_version_tranche_version_call UNIQUE (tranche, version, call),
  CONSTRAINT fk_share_version_tranche_call FOREIGN KEY(tranche, call) REFERENCES tranche (number, call),
  CONSTRAINT uq_share_version_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_share_version_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE target_public (
  tranche INTEGER NOT NULL,
  public TEXT NOT NULL,
  CONSTRAINT pk_target_public PRIMARY KEY (tranche, public),
  CONSTRAINT fk_target_public_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
)
 STRICT;

CREATE TABLE territory (
  tranche INTEGER NOT NULL,
  area TEXT NOT NULL,
  CONSTRAINT pk_territory PRIMARY KEY (tranche, area),
  CONSTRAINT fk_territory_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
)
 STRICT;

CREATE TABLE tranche_budget (
  tranche INTEGER NOT NULL,
  envelope_cents INTEGER NOT NULL,
  reserved_cents INTEGER NOT NULL,
  CONSTRAINT pk_tranche_budget PRIMARY KEY (tranche),
  CONSTRAINT ck_tranche_budget_within_envelope CHECK (reserved_cents BETWEEN 0 AND envelope_cents),
  CONSTRAINT fk_tranche_budget_tranche FOREIGN KEY(tranche) REFERENCES tranche (number)
)
 STRICT;

CREATE TABLE segment (
  id INTEGER NOT NULL,
  tranche INTEGER NOT NULL,
  version INTEGER NOT NULL,
  open_windows TEXT NOT NULL,
  weights TEXT NOT NULL,
  cents INTEGER NOT NULL,
  CONSTRAINT pk_segment PRIMARY KEY (id),
  CONSTRAINT uq_segment_tranche_version_open_windows UNIQUE (tranche, version, open_windows),
  CONSTRAINT fk_segment_tranche_version FOREIGN KEY(tranche, version) REFERENCES share_version (tranche, version),
  CONSTRAINT ck_segment_cents_count CHECK (cents >= 0)
)
 STRICT;

CREATE TABLE share (
  tranche INTEGER NOT NULL,
  version INTEGER NOT NULL,
  convention TEXT NOT NULL,
  call TEXT NOT NULL,
  priority INTEGER NOT NULL,
  weight INTEGER NOT NULL,
  CONSTRAINT pk_share PRIMARY KEY (tranche, version, convention),
  CONSTRAINT uq_share_tranche_version_priority UNIQUE (tranche, version, priority),
  CONSTRAINT fk_share_tranche_version_call FOREIGN KEY(tranche, version, call) REFERENCES share_version (tranche, version, call),
  CONSTRAINT fk_share_convention_call FOREIGN KEY(convention, call) REFERENCES convention (code, call),
  CONSTRAINT ck_share_weight_counts CHECK (weight >= 0),
  CONSTRAINT ck_share_priority_counts CHECK (priority >= 0)
)
 STRICT;
