CREATE TABLE numbering (
  kind TEXT NOT NULL,
  next BIGINT NOT NULL,
  CONSTRAINT pk_numbering PRIMARY KEY (kind),
  CONSTRAINT ck_numbering_next_counts CHECK (next >= 1)
);

CREATE TABLE desk (
  code TEXT NOT NULL,
  prescriber TEXT NOT NULL,
  name TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_desk PRIMARY KEY (code),
  CONSTRAINT uq_desk_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_desk_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE secret_key (
  key_id BIGINT NOT NULL,
  purpose TEXT NOT NULL,
  public BYTEA,
  sealed BYTEA NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_secret_key PRIMARY KEY (key_id),
  CONSTRAINT ck_secret_key_key_id_fits CHECK (key_id BETWEEN 0 AND 255),
  CONSTRAINT ck_secret_key_purpose_known CHECK (purpose IN ('voucher', 'specimen', 'code')),
  CONSTRAINT ck_secret_key_public_where_signing CHECK ((purpose = 'code') = (public IS NULL)),
  CONSTRAINT fk_secret_key_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE desk_programme (
  desk TEXT NOT NULL,
  programme TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_desk_programme PRIMARY KEY (desk, programme),
  CONSTRAINT fk_desk_programme_desk FOREIGN KEY(desk) REFERENCES desk (code),
  CONSTRAINT fk_desk_programme_programme FOREIGN KEY(programme) REFERENCES programme (code),
  CONSTRAINT fk_desk_programme_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE voucher_order (
  number BIGINT NOT NULL,
  tranche BIGINT NOT NULL,
  carnets BIGINT NOT NULL,
  first_carnet BIGINT NOT NULL,
  carnet_size BIGINT NOT NULL,
  face_cents BIGINT NOT NULL,
  printed_use_by DATE NOT NULL,
  specimen BOOLEAN NOT NULL,
  key_id BIGINT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_voucher_order PRIMARY KEY (number),
  CONSTRAINT ck_voucher_order_carnets_count CHECK (carnets >= 1 AND first_carnet >= 1),
  CONSTRAINT fk_voucher_order_tranche FOREIGN KEY(tranche) REFERENCES tranche (number),
  CONSTRAINT uq_voucher_order_first_carnet UNIQUE (first_carnet),
  CONSTRAINT fk_voucher_order_key_id FOREIGN KEY(key_id) REFERENCES secret_key (key_id),
  CONSTRAINT uq_voucher_order_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_voucher_order_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE activation (
  order_number BIGINT NOT NULL,
  commitment_number TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_activation PRIMARY KEY (order_number),
  CONSTRAINT fk_activation_order_number FOREIGN KEY(order_number) REFERENCES voucher_order (number),
  CONSTRAINT uq_activation_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_activation_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE carnet (
  number BIGINT NOT NULL,
  order_number BIGINT NOT NULL,
  CONSTRAINT pk_carnet PRIMARY KEY (number),
  CONSTRAINT uq_carnet_number_order_number UNIQUE (number, order_number),
  CONSTRAINT fk_carnet_order_number FOREIGN KEY(order_number) REFERENCES voucher_order (number)
);

CREATE INDEX ix_carnet_order_number ON carnet (order_number);

CREATE TABLE delivery (
  carnet BIGINT NOT NULL,
  turn BIGINT NOT NULL,
  desk TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_delivery PRIMARY KEY (carnet, turn),
  CONSTRAINT fk_delivery_carnet FOREIGN KEY(carnet) REFERENCES carnet (number),
  CONSTRAINT fk_delivery_desk FOREIGN KEY(desk) REFERENCES desk (code),
  CONSTRAINT fk_delivery_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE INDEX ix_delivery_desk ON delivery (desk);

CREATE TABLE voucher (
  serial TEXT NOT NULL,
  carnet BIGINT NOT NULL,
  rank BIGINT NOT NULL,
  order_number BIGINT NOT NULL,
  token_digest BYTEA NOT NULL,
  code_digest BYTEA NOT NULL,
  CONSTRAINT pk_voucher PRIMARY KEY (serial),
  CONSTRAINT uq_voucher_carnet_rank UNIQUE (carnet, rank),
  CONSTRAINT fk_voucher_carnet_order_number FOREIGN KEY(carnet, order_number) REFERENCES carnet (number, order_number),
  CONSTRAINT ck_voucher_rank_fits CHECK (rank BETWEEN 1 AND 255),
  CONSTRAINT ck_voucher_token_digest_size CHECK (length(token_digest) = 32),
  CONSTRAINT ck_voucher_code_digest_size CHECK (length(code_digest) = 32),
  CONSTRAINT uq_voucher_code_digest UNIQUE (code_digest)
);

CREATE TABLE handed_out (
  serial TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_handed_out PRIMARY KEY (serial),
  CONSTRAINT fk_handed_out_serial FOREIGN KEY(serial) REFERENCES voucher (serial),
  CONSTRAINT fk_handed_out_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE INDEX ix_handed_out_entry_id ON handed_out (entry_id);
