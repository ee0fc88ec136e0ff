CREATE TABLE transfer (
  number INTEGER NOT NULL,
  order_number INTEGER NOT NULL,
  from_desk TEXT,
  to_desk TEXT,
  carnets INTEGER NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_transfer PRIMARY KEY (number),
  CONSTRAINT ck_transfer_carnets_count CHECK (carnets >= 1),
  CONSTRAINT ck_transfer_goes_elsewhere CHECK (COALESCE(from_desk, '') <> COALESCE(to_desk, '')),
  CONSTRAINT fk_transfer_order_number FOREIGN KEY(order_number) REFERENCES voucher_order (number),
  CONSTRAINT fk_transfer_from_desk FOREIGN KEY(from_desk) REFERENCES desk (code),
  CONSTRAINT fk_transfer_to_desk FOREIGN KEY(to_desk) REFERENCES desk (code),
  CONSTRAINT uq_transfer_entry_id UNIQUE (entry_id),
  CONSTRAINT fk_transfer_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE INDEX ix_transfer_from_desk ON transfer (from_desk);

CREATE INDEX ix_transfer_to_desk ON transfer (to_desk);

CREATE TABLE departure (
  carnet INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  transfer INTEGER,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_departure PRIMARY KEY (carnet, turn),
  CONSTRAINT fk_departure_carnet FOREIGN KEY(carnet) REFERENCES carnet (number),
  CONSTRAINT fk_departure_transfer FOREIGN KEY(transfer) REFERENCES transfer (number),
  CONSTRAINT fk_departure_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE INDEX ix_departure_transfer ON departure (transfer);
