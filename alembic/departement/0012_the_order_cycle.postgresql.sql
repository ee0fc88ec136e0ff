ALTER TABLE tranche ADD COLUMN activated_on TEXT NOT NULL DEFAULT 'commitment'
  CONSTRAINT ck_tranche_activated_on_known CHECK (activated_on IN ('commitment', 'mandat'));

ALTER TABLE activation ADD COLUMN basis TEXT NOT NULL DEFAULT 'commitment'
  CONSTRAINT ck_activation_basis_known CHECK (basis IN ('commitment', 'mandat'));

CREATE TABLE proof_approval (
  order_number BIGINT NOT NULL,
  kind TEXT NOT NULL,
  turn BIGINT NOT NULL,
  template TEXT NOT NULL,
  template_version BIGINT NOT NULL,
  template_sha256 TEXT NOT NULL,
  publicity TEXT NOT NULL,
  logos TEXT NOT NULL,
  proof_sha256 TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_proof_approval PRIMARY KEY (order_number, kind, turn),
  CONSTRAINT fk_proof_approval_order_number FOREIGN KEY(order_number) REFERENCES voucher_order (number),
  CONSTRAINT uq_proof_approval_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_proof_approval_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
  CONSTRAINT ck_proof_approval_kind_known CHECK (kind IN ('pdf', 'shop')),
  CONSTRAINT ck_proof_approval_turn_counts CHECK (turn >= 0)
);
