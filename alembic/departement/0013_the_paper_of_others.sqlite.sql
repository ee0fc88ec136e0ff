CREATE TABLE foreign_carnet (
  carnet INTEGER NOT NULL,
  order_number INTEGER NOT NULL,
  operator TEXT NOT NULL,
  label TEXT NOT NULL,
  found_by TEXT NOT NULL,
  CONSTRAINT pk_foreign_carnet PRIMARY KEY (carnet),
  CONSTRAINT uq_foreign_carnet_found_by_operator UNIQUE (found_by, operator),
  CONSTRAINT fk_foreign_carnet_carnet_order_number FOREIGN KEY(carnet, order_number) REFERENCES carnet (number, order_number)
)
 STRICT;

CREATE INDEX ix_foreign_carnet_order_number ON foreign_carnet (order_number);

CREATE TABLE foreign_qr (
  digest BLOB NOT NULL,
  serial TEXT NOT NULL,
  CONSTRAINT pk_foreign_qr PRIMARY KEY (digest),
  CONSTRAINT uq_foreign_qr_serial UNIQUE (serial),
  CONSTRAINT ck_foreign_qr_digest_size CHECK (length(digest) = 32),
  CONSTRAINT fk_foreign_qr_serial FOREIGN KEY(serial) REFERENCES voucher (serial)
)
 STRICT;
